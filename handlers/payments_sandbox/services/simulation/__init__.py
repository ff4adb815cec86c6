"""Triggers, fault rules, snapshots and copies of an account."""
