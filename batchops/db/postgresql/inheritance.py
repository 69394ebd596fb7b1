"""The tables that inherit from a table: its partitions, theirs, and the children of plain inheritance."""

OWN = """
WITH RECURSIVE own AS (
    SELECT oid AS root, oid FROM unnest(CAST(:oids AS oid[])) AS oid
    UNION SELECT own.root, i.inhrelid FROM pg_catalog.pg_inherits i JOIN own ON i.inhparent = own.oid
)"""
"""The common table expression `own`: each of the tables `oids` as `root`, with itself and all that inherit from it."""
