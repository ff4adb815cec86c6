"""Settlements, their reports and their schedule."""
