"""How long a webhook endpoint has been failing, and disabling it when that is too long or it is gone."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from payments_sandbox.domain.webhooks import FAILING_MAX_MS, Verdict
from payments_sandbox.services.ledger import entries
from payments_sandbox.services.ledger.retry import SETTINGS_RACES_MAX
from payments_sandbox.services.ports import Committed, Record, Update
from payments_sandbox.services.world import World


def note_endpoint_health(world: World, endpoint: Record, verdict: Verdict, now_ms: int) -> None:
    """Remember since when an endpoint has been failing, and disable it when it is gone or has failed for too long.

    Written only when something changes, so that a healthy endpoint costs nothing.
    """
    for _ in range(SETTINGS_RACES_MAX):
        data = endpoint.data
        failing_since = data["failing_since"]
        if verdict.delivered:
            changed = {**data, "failing_since": None}
        elif verdict.disables:
            changed = {**data, "enabled": False, "disabled_reason": "gone"}
        elif failing_since is None:
            changed = {**data, "failing_since": now_ms}
        elif now_ms - failing_since >= FAILING_MAX_MS:
            changed = {**data, "enabled": False, "disabled_reason": "failing"}
        else:
            return
        if changed == data or not data["enabled"]:
            return
        update = Update(replace(endpoint, version=endpoint.version + 1, data=changed))
        inserts = [] if changed["enabled"] else [_disabled_entry(world, endpoint, changed, now_ms)]
        if isinstance(world.store.commit(inserts, [update]), Committed):
            return
        (fresh,) = world.store.get([endpoint.id])
        assert fresh is not None, "endpoints are never deleted from the store"
        endpoint = fresh


def _disabled_entry(world: World, endpoint: Record, data: Mapping[str, Any], now_ms: int) -> Record:
    """The entry that tells of it, written together with the change; it is the event `webhook_endpoint.disabled`."""
    return Record(
        id="wed_" + world.token(24, "endpoint_disabled", endpoint.id, str(endpoint.version)),
        kind="endpoint_disabled",
        account_id=endpoint.account_id,
        version=1,
        created_at=now_ms,
        data={
            "endpoint_id": endpoint.id,
            "url": data["url"],
            "reason": data["disabled_reason"],
            "failing_since": data["failing_since"],
        },
        feed_key=entries.feed_key(endpoint.account_id),
    )
