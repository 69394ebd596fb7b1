"""One rate and one number of workers for several runs, on any number of hosts, kept in a database of choice."""
