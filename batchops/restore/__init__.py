"""The verb restore: archived rows back into a table, typed as they were."""
