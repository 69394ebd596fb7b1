"""How the rows of a batch are found: one file per strategy."""
