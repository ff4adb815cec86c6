"""The payments sandbox: one package that runs embedded on a laptop and, zipped, in AWS Lambda.

Read `docs/adr/` for the decisions, then follow one request: `http/operations/payments.py` translates it, `services/payments/payments.py`
decides, `domain/` holds the rules, `adapters/` keep the ledger, and `bootstrap.py` joins them.
"""
