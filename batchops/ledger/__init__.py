"""Where progress lives, who is at work on it, and how a job goes on from it."""
