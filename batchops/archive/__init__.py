"""Archived rows in files: canonical lines, segments with records, manifests, destinations. No module knows a verb."""
