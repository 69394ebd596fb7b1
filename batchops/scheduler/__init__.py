"""When jobs fire, who runs a fire, and what becomes of it."""
