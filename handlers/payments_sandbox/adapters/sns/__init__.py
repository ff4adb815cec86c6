"""The topic of the AWS home: `publisher.py` is the port, `client.py` the connection.

Importing this package imports nothing else, so that embedded users need no boto3.
"""
