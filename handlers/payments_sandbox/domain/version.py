"""The version of the sandbox and of its contract."""

VERSION = "0.1.0"
"""The same as in pyproject.toml and openapi/payments.yaml, as a test makes sure."""
