"""Webhook endpoints, deliveries and inboxes."""
