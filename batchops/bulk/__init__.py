"""purge and backfill: rows of a table changed in small transactions."""
