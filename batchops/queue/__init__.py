"""Tables as queues: which rows are pending, who holds them, how often each was tried."""
