"""A parent with its children: the graph of tables whose rows refer to the rows of a purge."""
