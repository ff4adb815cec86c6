"""The ledger of the AWS home: one DynamoDB table. `store.py` is the port, `table.py` the table, `client.py` the connection.

Importing this package imports nothing else, so that embedded users need no boto3.
"""
