"""Shared budgets: one rate and one number of workers for several runs on any hosts, kept in a database."""
