"""What a run would do, found out without writing anything."""
