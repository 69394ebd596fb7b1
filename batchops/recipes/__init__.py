"""Recipes: TOML files of named jobs, whose keys are the flags of the verbs."""
