"""Specs: what a user asks for, in fields from which flags, recipe keys and library arguments are made."""
