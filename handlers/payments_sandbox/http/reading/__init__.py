"""From the bytes of a request to valid values, as the contract says: `contract.py` first, then `request_reader.py`."""
