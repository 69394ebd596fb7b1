"""The user's SQL expressions, a condition or a `--set`, read and checked before any server sees them."""
