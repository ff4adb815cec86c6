"""The machine's own services behind ports: clock, randomness, request limits."""
