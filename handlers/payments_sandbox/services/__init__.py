"""Use cases, one function each. A service of an account takes its `World`; what works across accounts takes `Infrastructure`.

They decide and write; they know no HTTP and no SQL. Which room may import which: `tests/unit/test_architecture.py`.
"""
