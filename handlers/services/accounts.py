"""Accounts, API keys and who is calling. (Being written by the lead.)"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever an API key belongs to.

    key_id: the key's public id. plan: the usage plan that limits it.
    """

    account_id: str
    key_id: str
    plan: str
