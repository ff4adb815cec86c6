"""`SecretBox` by AWS KMS."""
