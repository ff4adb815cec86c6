"""One suite that every adapter of the `Store` port passes: the embedded and the AWS home behave alike.

`test_sqlite.py` and `test_dynamodb.py` hold what only one of them promises. DynamoDB is moto's, in this process.
"""
