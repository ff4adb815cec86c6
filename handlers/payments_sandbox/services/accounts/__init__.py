"""Accounts, their API keys and their controls."""
