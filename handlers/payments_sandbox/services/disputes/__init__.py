"""Disputes, inquiries and early fraud warnings."""
