"""What implements the ports: ledgers (SQLite, DynamoDB) and the operating system's clock, randomness and limits."""
