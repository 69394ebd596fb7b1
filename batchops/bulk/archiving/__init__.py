"""Archiving: rows go to a destination before they are deleted."""
