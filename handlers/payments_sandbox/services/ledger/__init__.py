"""The ledger: entries, how they change an authorization, and how they are read, listed and shown."""
