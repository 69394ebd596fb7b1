"""The loop that every verb shares: pacing, limits, retries, and several loops in threads."""
