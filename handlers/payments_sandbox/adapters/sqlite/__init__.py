"""The ledger of the embedded home: one SQLite file. `store.py` is the port, `schema.py` the file, `checkpoints.py` its log."""
