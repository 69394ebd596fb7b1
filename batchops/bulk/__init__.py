"""purge, backfill and archive: rows of a table changed or moved in small transactions."""
