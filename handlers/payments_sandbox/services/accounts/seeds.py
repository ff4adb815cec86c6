"""Seeds: what makes an account give the same ids and codes for the same calls, on any machine and in the same ledger twice.

Everything that the ledger's secret and chance decide elsewhere (ids of entries, cards, endpoints and deliveries, authorization
codes, trace numbers, the jitter of retries, which request a fault strikes) follows here from the seed and the call. What
carries the time still does: an entry's `created_at`, its retrieval reference. Secrets stay secret: API keys and signing secrets
are random, and so is what lies outside the account's world, its own id and its inboxes.

Whoever knows a seed can compute the card id of any number, and so find the number of a card id. So a seeded account
takes published test cards only. Next: `controls.py` applies a seed, `world_copies.py` makes an account of one.
"""

import hashlib
from typing import Final

NAMESPACE: Final = "seeded"
"""What ids are derived from in place of the account's own, which chance has made."""

_PURPOSE: Final = b"payments-sandbox seed\0"


def seed_secret(seed: str) -> bytes:
    """What stands in for the ledger's secret in an account of this seed."""
    return hashlib.sha256(_PURPOSE + seed.encode()).digest()
