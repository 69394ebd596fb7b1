"""What a user asks for: the fields that flags, recipe keys and library arguments are made from."""
