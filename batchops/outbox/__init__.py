"""Tables of events, outboxes: what is unsent, who relays it, what became of each event."""

from batchops.outbox.event import Event, Names, save

__all__ = ["Event", "Names", "save"]
