"""Finds out what a run would do, without writing anything."""
