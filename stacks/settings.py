"""The one place where Pulumi's configuration is read. Dev and prod differ in what is read here, and in nothing else.

What cannot be used is refused by name, all of it at once and before anything is created: a setting that nobody knows, a
value of the wrong kind, and combinations that would be regretted later (`setting_rules.py`). Set one with
`pulumi -s dev config set NAME VALUE`; next: `__main__.py`.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Self

import pulumi
from pulumi.runtime import config as stored

from stacks.setting_rules import complaints_about

PROJECT: Final = "payments-sandbox"
ROOT: Final = Path(__file__).resolve().parents[1]
"""The checkout: where paths in settings start."""

CONTRACT: Final = ROOT / "openapi" / "payments.yaml"
SETTLEMENT: Final = ROOT / "handlers" / "payments_sandbox" / "workers" / "settlement.asl.json"
"""The definition of the settlement's state machine, which lies beside its tasks."""


class StackSettingsError(Exception):
    """Settings that cannot be used; the message names each, and says what is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSettings:
    """A stack's settings.

    stack: its name, which Pulumi gives; part of every resource's name.
    region: where it is deployed; Pulumi's own `aws:region`.
    ledger_secret: 64 hexadecimal digits, set with --secret: the key of every id that is derived from a card number or an
        idempotency key. `openssl rand -hex 32` makes one. Changing it orphans all that was stored.

    production: whether people rely on this stack. Then it has to be protected, to be restorable, and to have a budget and
        somebody who is told of alarms.
    protect: whether the ledger and its key refuse to be deleted, by Pulumi and by AWS.
    point_in_time_recovery: whether the ledger can be restored to any second of the last 35 days.
    owner: who answers for the stack; a tag of every resource.

    bundle: the archive of the Lambda functions, from the checkout on; `make bundle` builds it.
    log_level: debug, info, warning or error, for all functions; `info` logs every request.
    log_retention_days: how long logs are kept; what CloudWatch Logs knows: 1, 3, 5, 7, 14, 30, 60, 90, ...
    access_logs: whether API Gateway logs each request, those included that never reach a function.
    gateway_log_role: whether this stack gives API Gateway the role that access logs need. There is one for all APIs of an
        account and region, and it goes with its stack: of several stacks, switch it on in the one that stays.
    trace: whether X-Ray follows requests, at a price of $5 per million.

    api_memory_mb, worker_memory_mb: of the functions behind the API, and of all others. Lambda gives a whole vCPU at 1769.
    snap_start: whether the API's function starts from a snapshot, which is cheaper than to keep some running.
    provisioned_concurrency: how many instances of the API's function are kept running; about $11 a month each. 0: none.
    concurrency_api, concurrency_relay, concurrency_deliver, concurrency_sweep, concurrency_settlement: how many instances
        of a function may run at once, which is also what bounds the bill. 0 reserves none: for accounts whose own limit
        is too low to give any away.

    feed_shards: over how many partitions one account's feed, or one card's, is spread, at 1,000 writes a second each. Never
        lower it.
    table_write_units_max, table_read_units_max: per second; above them the ledger is throttled, which bounds the bill.
    table_warm_write_units, table_warm_read_units: what the table takes from its first second on; 0 leaves it at what every
        new table takes, 4,000 and 12,000.

    default_plan_requests_per_minute, default_plan_burst: of each API key on the default plan, and how many of them may come
        at once.
    demo_plan_requests_per_second, demo_plan_burst: the same for the key of the demo account, which tests run on.
    stage_requests_per_second, stage_burst: of all callers together, those without a key included.
    accounts_per_second, accounts_burst: how many accounts may be made. It needs no key, and each takes one of the 10,000 API
        keys that an AWS account can have in a region.
    open_accounts: whether anybody may make an account, as the contract has it; otherwise only who has a key already.
    cors_origins: a JSON list of the origins whose pages may call the API.
    domain_name, certificate_arn: a name of your own for the API, and its certificate in the stack's region. Neither, or
        both.
    hosted_zone_id: the Route 53 zone that gets the name's record; without one, point the name at the API yourself.

    settlement_schedule: when due captures and refunds are settled, as EventBridge Scheduler writes it, in UTC.
    alarm_email: who is told of alarms. Amazon asks them to confirm.
    budget_usd, budget_email: what a month may cost, and who is told at 50, 80 and 100 % and when the forecast is more.
        Neither, or both. A budget caps nothing: the limits above do.
    site_directory: a static build that is served from CloudFront, from the checkout on; none without one.
    """

    stack: str
    region: str
    ledger_secret: str = field(repr=False)

    production: bool = False
    protect: bool = False
    point_in_time_recovery: bool = False
    owner: str = "payments"

    bundle: str = "build/lambda.zip"
    log_level: str = "info"
    log_retention_days: int = 30
    access_logs: bool = True
    gateway_log_role: bool = True
    trace: bool = False

    api_memory_mb: int = 1769
    worker_memory_mb: int = 512
    snap_start: bool = False
    provisioned_concurrency: int = 0
    concurrency_api: int = 20
    concurrency_relay: int = 4
    concurrency_deliver: int = 4
    concurrency_sweep: int = 1
    concurrency_settlement: int = 6

    feed_shards: int = 16
    table_write_units_max: int = 1000
    table_read_units_max: int = 1000
    table_warm_write_units: int = 0
    table_warm_read_units: int = 0

    default_plan_requests_per_minute: int = 100
    default_plan_burst: int = 20
    demo_plan_requests_per_second: int = 100
    demo_plan_burst: int = 200
    stage_requests_per_second: int = 200
    stage_burst: int = 400
    accounts_per_second: int = 1
    accounts_burst: int = 20
    open_accounts: bool = True
    cors_origins: tuple[str, ...] = ()
    domain_name: str = ""
    certificate_arn: str = ""
    hosted_zone_id: str = ""

    settlement_schedule: str = "cron(30 2 * * ? *)"
    alarm_email: str = ""
    budget_usd: int = 0
    budget_email: str = ""
    site_directory: str = ""

    @classmethod
    def from_config(cls) -> Self:
        """The settings of the stack that is being deployed. Raises StackSettingsError."""
        values = {**stored.get_config_env(), **stored.CONFIG.get()}
        secret_names = {*stored.get_config_secret_keys_env(), *stored._SECRET_KEYS.get()}
        own = {
            name.removeprefix(f"{PROJECT}:"): text
            for name, text in values.items()
            if name.startswith(f"{PROJECT}:")
        }
        secrets = {name.removeprefix(f"{PROJECT}:") for name in secret_names}
        return cls.read(own, stack=pulumi.get_stack(), region=values.get("aws:region", ""), secrets=secrets)

    @classmethod
    def read(cls, values: Mapping[str, str], *, stack: str, region: str, secrets: Collection[str]) -> Self:
        """The settings that these values say, as Pulumi keeps them: texts, and JSON for all that is more.

        secrets: the names of the values that are encrypted. Raises StackSettingsError.
        """
        known = {each.name: each for each in fields(cls) if each.name not in ("stack", "region")}
        complaints = [f"{name}: no such setting" for name in sorted(set(values) - set(known))]
        read: dict[str, Any] = {}
        for name, each in known.items():
            try:
                if name in values:
                    read[name] = _READERS[each.type](values[name])
                elif each.default is MISSING:
                    complaints.append(f"{name}: is not set")
            except ValueError as error:
                complaints.append(f"{name}: {error}")
        if "ledger_secret" in read and "ledger_secret" not in secrets:
            complaints.append("ledger_secret: must be encrypted; set it with --secret, and use a new one")
        if complaints:
            raise _refusal(stack, complaints)
        settings = cls(stack=stack, region=region, **read)
        if complaints := complaints_about(settings):
            raise _refusal(stack, complaints)
        return settings

    @property
    def prefix(self) -> str:
        """What the names of all resources begin with."""
        return f"{PROJECT}-{self.stack}"

    @property
    def tags(self) -> dict[str, str]:
        """Tags of every resource."""
        return {"project": PROJECT, "stack": self.stack, "owner": self.owner, "managed-by": "pulumi"}

    @property
    def bundle_path(self) -> Path:
        """The archive of the Lambda functions."""
        return ROOT / self.bundle

    @property
    def site_path(self) -> Path | None:
        """The static build to serve; None when none is configured."""
        return ROOT / self.site_directory if self.site_directory else None


def _read_flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("must be true or false")
    return text == "true"


def _read_number(text: str) -> int:
    if re.fullmatch(r"-?[0-9]{1,9}", text) is None:
        raise ValueError("must be a whole number")
    return int(text)


def _read_list(text: str) -> tuple[str, ...]:
    try:
        items = json.loads(text)
    except ValueError:
        items = None
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ValueError('must be a JSON list of texts, such as ["https://example.com"]')
    return tuple(items)


_READERS: Final[Mapping[Any, Callable[[str], Any]]] = {
    str: str,
    int: _read_number,
    bool: _read_flag,
    tuple[str, ...]: _read_list,
}


def _refusal(stack: str, complaints: list[str]) -> StackSettingsError:
    listed = "\n".join(f"  {complaint}" for complaint in complaints)
    return StackSettingsError(f"the settings of the stack {stack} cannot be used:\n{listed}")
