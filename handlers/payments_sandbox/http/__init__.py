"""HTTP: one module per tag of the contract, and the machinery that gets a request to it."""
