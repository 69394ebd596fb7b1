"""Archived rows in files: canonical lines, segments with records, manifests, destinations. Knows no verb."""
