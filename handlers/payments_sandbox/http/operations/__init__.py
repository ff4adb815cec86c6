"""One module for each tag of the contract, one function for each operation id; `call.py` is what they take and give."""
