"""Whose API keys were seen lately, in this process."""

from payments_sandbox.services.ports import Clock, Principal

TTL_MS = 5_000
"""How long a key is trusted without asking the ledger: as long as a revocation may take to reach another process."""


class RecentPrincipals:
    """`PrincipalCache` with a bounded number of entries that live for `TTL_MS`."""

    def __init__(self, clock: Clock, *, entries_max: int = 10_000) -> None:
        self._clock = clock
        self._entries_max = entries_max
        self._entries: dict[str, tuple[Principal, int]] = {}

    def get(self, key_id: str) -> Principal | None:
        entry = self._entries.get(key_id)
        if entry is None or not 0 <= self._clock.now_ms() - entry[1] < TTL_MS:
            return None
        return entry[0]

    def put(self, principal: Principal) -> None:
        if len(self._entries) >= self._entries_max:
            self._entries.clear()
        self._entries[principal.key_id] = (principal, self._clock.now_ms())

    def forget(self, key_id: str) -> None:
        self._entries.pop(key_id, None)
