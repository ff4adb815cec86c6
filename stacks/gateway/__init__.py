"""What API Gateway is told: `document.py` derives it from the contract; `models.py` and `responses.py` are parts of it.

Nothing here knows Pulumi: plain data in, plain data out.
"""
