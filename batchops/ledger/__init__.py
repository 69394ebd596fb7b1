"""Where progress lives, who works on it, and how a job continues from it."""
