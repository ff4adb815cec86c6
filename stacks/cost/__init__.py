"""What the AWS home costs, and what it takes to make 5,000 authorizations a second, from a small model.

    prices.py     the price table, and nothing else
    work.py       what one authorization, event, night or idle month asks of AWS: the assumptions, each with its reason
    model.py      work times prices
    document.py   both, as docs/cost.md

`make cost` writes the document. What the ledger's work takes is not assumed but measured: `tests/load/write_units.py`
runs the services, and a test compares. Importing this imports nothing else.
"""
