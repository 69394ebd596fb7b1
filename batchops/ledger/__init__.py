"""The ledger: the tables that hold runs, checkpoints and leases, and how a job continues from them."""
