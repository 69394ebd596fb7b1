"""SQL over an archive: its segments as the views of a database in memory, which reads and cannot write."""
