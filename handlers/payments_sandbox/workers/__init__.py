"""What works without a request: it follows the ledger, delivers webhooks and picks up what was left lying.

The embedded home runs `dispatcher.py` in its own process. On AWS there are three functions, each with a module that knows
no more of AWS than the shape of the batches that it is handed:

    relay.py      DynamoDB stream -> SNS topic
    deliver.py    SQS queue, subscribed to the topic -> the receivers
    sweep.py      every minute: the ledger's due index -> the queue

None of them decides when a webhook is due, what it looks like or whether it arrived: see services/webhooks/webhook_attempts.py.
"""
