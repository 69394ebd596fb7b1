"""Tables of events, outboxes: what is unsent, who relays it, what became of each event."""
