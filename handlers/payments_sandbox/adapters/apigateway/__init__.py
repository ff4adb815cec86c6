"""The gateway of the AWS home, as far as it has to know API keys: `key_registry.py` is the port, `client.py` the connection.

Importing this package imports nothing else, so that embedded users need no boto3.
"""
