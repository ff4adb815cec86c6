"""The queue of the AWS home: `queue.py` is the port, `client.py` the connection, `batches.py` what SQS and SNS share.

Importing this package imports nothing else, so that embedded users need no boto3.
"""
