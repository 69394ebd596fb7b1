"""The loop that every verb shares: its pace, its limits, its patience, and several of it side by side."""
