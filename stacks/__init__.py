"""The Pulumi program of the AWS home: `__main__.py` is the bill of materials, `settings.py` all that stacks differ in.

It imports nothing of `payments_sandbox`: the two meet at the names of environment variables, which tests compare.
"""
