"""Tables as queues: which rows are pending, who holds them, and how often each was tried."""
