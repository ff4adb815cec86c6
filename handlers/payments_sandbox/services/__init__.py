"""Use cases, one function each, over the ports of `ports.py`. They decide and write; they know no HTTP and no SQL."""
