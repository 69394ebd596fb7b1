"""The scheduler: when jobs fire, which process runs a fire, and how it ends."""
