"""The rules of card payments: money, cards, triggers, the authorization's state machine. Pure standard library."""
