"""Events: what the ledger tells of."""
