"""Keeping a webhook delivery to oneself while it is attempted.

A lease is nothing but the delivery's due time, moved on before anybody else finds it due: there is no lock to clean up
when a process dies.
"""

import asyncio
from contextlib import suppress
from dataclasses import replace

from payments_sandbox.domain.errors import StoreUnavailable
from payments_sandbox.domain.timestamps import SECOND_MS
from payments_sandbox.services.ports import Committed, Record, Update
from payments_sandbox.services.world import World


class Lease:
    """Keeps a delivery for whoever attempts it, by moving its due time on before it comes.

    record: as it stands while the lease is held, once it was taken.
    """

    def __init__(self, world: World, record: Record, lease_ms: int) -> None:
        self._world = world
        self._lease_ms = lease_ms
        self._timer: asyncio.TimerHandle | None = None
        self.record = record

    def take(self) -> bool:
        """Whether nobody else was faster."""
        if not self._prolong(self._lease_ms):
            return False
        self._set_timer()
        return True

    def end(self) -> None:
        """Let it run out."""
        if self._timer is not None:
            self._timer.cancel()

    def give_back(self) -> None:
        """Make the delivery due again at once, if the ledger can be written."""
        with suppress(StoreUnavailable):
            self._prolong(0)

    def _renew(self) -> None:
        try:
            # When it is lost, whoever has it, or has settled or redelivered the delivery meanwhile, is in the right.
            held = self._prolong(self._lease_ms)
        except StoreUnavailable:
            held = True
        if held:
            self._set_timer()

    def _prolong(self, by_ms: int) -> bool:
        now_ms = self._world.clock.now_ms()
        prolonged = replace(self.record, version=self.record.version + 1, due_at=now_ms + by_ms)
        if not isinstance(self._world.store.commit([], [Update(prolonged)]), Committed):
            return False
        self.record = prolonged
        return True

    def _set_timer(self) -> None:
        half_s = self._lease_ms // (2 * SECOND_MS)
        self._timer = asyncio.get_running_loop().call_later(half_s, self._renew)
