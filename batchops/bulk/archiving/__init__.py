"""Archives rows: copies them to a destination before they are deleted."""
