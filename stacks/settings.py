"""The one place where Pulumi's configuration is read. Dev and prod differ in what is read here, and in nothing else.

What cannot be used is refused by name, all of it at once and before anything is created: a setting that nobody knows, a
value of the wrong kind, and combinations that would be regretted later. Set one with
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

PROJECT: Final = "payments-sandbox"
ROOT: Final = Path(__file__).resolve().parents[1]
"""The checkout: where paths in settings start."""

CONTRACT: Final = ROOT / "openapi" / "payments.yaml"
SETTLEMENT: Final = ROOT / "handlers" / "workers" / "settlement.asl.json"
"""The definition of the settlement's state machine, which lies beside its tasks."""

LOG_LEVELS: Final = ("debug", "info", "warning", "error")
LOG_RETENTION_DAYS: Final = (
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
)
"""What CloudWatch Logs can keep logs for."""

FEED_SHARDS_MAX: Final = 99
DELIVER_CONCURRENCY_MIN: Final = 2
"""The least that an SQS event source mapping can be limited to."""

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,19}")
_REGION: Final = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_SECRET: Final = re.compile(r"[0-9a-f]{64}")
_ADDRESS: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_ORIGIN: Final = re.compile(r"https?://[a-z0-9.-]+(:\d+)?")
_DOMAIN: Final = re.compile(r"([a-z0-9-]+\.)+[a-z]{2,}")
_CERTIFICATE: Final = re.compile(r"arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/.+")
_SCHEDULE: Final = re.compile(r"(cron|rate)\(.+\)")


class SettingsError(Exception):
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
    log_level: one of `LOG_LEVELS`, for all functions; `info` logs every request.
    log_retention_days: how long logs are kept; one of `LOG_RETENTION_DAYS`.
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
        """The settings of the stack that is being deployed. Raises SettingsError."""
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

        secrets: the names of the values that are encrypted. Raises SettingsError.
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
        if complaints := settings.complaints():
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

    def complaints(self) -> list[str]:
        """What cannot be used of these settings, each by name."""
        return [f"{name}: {expected}" for name, is_good, expected in self._rules() if not is_good]

    def _rules(self) -> list[tuple[str, bool, str]]:
        """Name, whether it holds, and what is expected."""
        return [
            ("stack", _fits(_NAME, self.stack), "lower-case letters, digits and hyphens, 20 at most"),
            ("aws:region", _fits(_REGION, self.region), "must be set, to a region such as eu-central-1"),
            (
                "ledger_secret",
                _fits(_SECRET, self.ledger_secret),
                "must be 64 hexadecimal digits in lower case",
            ),
            *self._rules_of_production(),
            ("owner", bool(self.owner.strip()), "must not be empty"),
            ("log_level", self.log_level in LOG_LEVELS, f"must be one of {', '.join(LOG_LEVELS)}"),
            (
                "log_retention_days",
                self.log_retention_days in LOG_RETENTION_DAYS,
                f"must be one of {', '.join(map(str, LOG_RETENTION_DAYS))}",
            ),
            ("bundle", self.bundle_path.is_file(), f"{self.bundle} is not there; `make bundle` builds it"),
            *self._rules_of_functions(),
            *self._rules_of_the_table(),
            *self._rules_of_the_api(),
            (
                "settlement_schedule",
                _fits(_SCHEDULE, self.settlement_schedule),
                "must be cron(...) or rate(...)",
            ),
            ("alarm_email", _fits_or_empty(_ADDRESS, self.alarm_email), "must be an address"),
            ("budget_email", _fits_or_empty(_ADDRESS, self.budget_email), "must be an address"),
            ("budget_usd", self.budget_usd >= 0, "must not be negative"),
            ("budget_email", bool(self.budget_email) or not self.budget_usd, "must be set for a budget"),
            ("budget_usd", bool(self.budget_usd) or not self.budget_email, "must be set for its address"),
            (
                "site_directory",
                self.site_path is None or (self.site_path / "index.html").is_file(),
                f"{self.site_directory} holds no index.html",
            ),
        ]

    def _rules_of_production(self) -> list[tuple[str, bool, str]]:
        named_so = self.stack.split("-")[0] in ("prod", "production")
        relied_on = self.production or named_so
        return [
            ("production", self.production or not named_so, "must be true in a stack of this name"),
            ("protect", self.protect or not relied_on, "must be true in production"),
            (
                "point_in_time_recovery",
                self.point_in_time_recovery or not relied_on,
                "must be true in production",
            ),
            ("alarm_email", bool(self.alarm_email) or not relied_on, "must be set in production"),
            ("budget_usd", bool(self.budget_usd) or not relied_on, "must be set in production"),
        ]

    def _rules_of_functions(self) -> list[tuple[str, bool, str]]:
        memory = "must be 128 to 10240"
        return [
            ("api_memory_mb", 128 <= self.api_memory_mb <= 10_240, memory),
            ("worker_memory_mb", 128 <= self.worker_memory_mb <= 10_240, memory),
            ("provisioned_concurrency", self.provisioned_concurrency >= 0, "must not be negative"),
            (
                "provisioned_concurrency",
                not (self.snap_start and self.provisioned_concurrency),
                "cannot be had together with snap_start",
            ),
            (
                "provisioned_concurrency",
                not self.concurrency_api or self.provisioned_concurrency <= self.concurrency_api,
                "must not be more than concurrency_api",
            ),
            *(
                (name, getattr(self, name) >= 0, "must not be negative")
                for name in (
                    "concurrency_api",
                    "concurrency_relay",
                    "concurrency_deliver",
                    "concurrency_sweep",
                    "concurrency_settlement",
                )
            ),
            (
                "concurrency_deliver",
                self.concurrency_deliver == 0 or self.concurrency_deliver >= DELIVER_CONCURRENCY_MIN,
                f"must be 0, or {DELIVER_CONCURRENCY_MIN} or more",
            ),
        ]

    def _rules_of_the_table(self) -> list[tuple[str, bool, str]]:
        return [
            ("feed_shards", 1 <= self.feed_shards <= FEED_SHARDS_MAX, f"must be 1 to {FEED_SHARDS_MAX}"),
            ("table_write_units_max", self.table_write_units_max >= 1, "must be at least 1"),
            ("table_read_units_max", self.table_read_units_max >= 1, "must be at least 1"),
            (
                "table_warm_write_units",
                self.table_warm_write_units == 0 or self.table_warm_write_units >= 4000,
                "must be 0, or 4000 or more",
            ),
            (
                "table_warm_read_units",
                self.table_warm_read_units == 0 or self.table_warm_read_units >= 12_000,
                "must be 0, or 12000 or more",
            ),
        ]

    def _rules_of_the_api(self) -> list[tuple[str, bool, str]]:
        return [
            *(
                (name, getattr(self, name) >= 1, "must be at least 1")
                for name in (
                    "default_plan_requests_per_minute",
                    "default_plan_burst",
                    "demo_plan_requests_per_second",
                    "demo_plan_burst",
                    "stage_requests_per_second",
                    "stage_burst",
                    "accounts_per_second",
                    "accounts_burst",
                )
            ),
            (
                "cors_origins",
                all(_fits(_ORIGIN, origin) for origin in self.cors_origins),
                "must be origins such as https://example.com, without a path",
            ),
            ("domain_name", _fits_or_empty(_DOMAIN, self.domain_name), "must be a domain name"),
            (
                "certificate_arn",
                _fits_or_empty(_CERTIFICATE, self.certificate_arn),
                "must be the ARN of a certificate",
            ),
            (
                "certificate_arn",
                bool(self.certificate_arn) == bool(self.domain_name),
                "must be set when domain_name is, and only then",
            ),
            (
                "hosted_zone_id",
                not self.hosted_zone_id or bool(self.domain_name),
                "is of no use without domain_name",
            ),
        ]


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


def _fits(pattern: re.Pattern[str], text: str) -> bool:
    return pattern.fullmatch(text) is not None


def _fits_or_empty(pattern: re.Pattern[str], text: str) -> bool:
    return not text or _fits(pattern, text)


def _refusal(stack: str, complaints: list[str]) -> SettingsError:
    listed = "\n".join(f"  {complaint}" for complaint in complaints)
    return SettingsError(f"the settings of the stack {stack} cannot be used:\n{listed}")
