"""Outboxes, which are tables of events: which are unsent, which relay sends them, and what became of each."""

from batchops.outbox.event import Event, Names, save

__all__ = ["Event", "Names", "save"]
