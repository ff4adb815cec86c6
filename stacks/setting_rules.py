"""What cannot be used of a stack's settings, although each value by itself can be read: see `settings.py`."""

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from stacks.settings import StackSettings

LOG_LEVELS: Final = ("debug", "info", "warning", "error")
LOG_RETENTION_DAYS: Final = tuple(
    map(int, "1 3 5 7 14 30 60 90 120 150 180 365 400 545 731 1096 1827 2192 2557 2922 3288 3653".split())
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

Rule = tuple[str, bool, str]
"""A setting's name, whether it can be used, and what is expected of it."""


def complaints_about(settings: "StackSettings") -> list[str]:
    """What cannot be used of these settings, each by name."""
    return [f"{name}: {expected}" for name, is_good, expected in _rules(settings) if not is_good]


def _rules(settings: "StackSettings") -> list[Rule]:
    return [
        ("stack", _fits(_NAME, settings.stack), "lower-case letters, digits and hyphens, 20 at most"),
        ("aws:region", _fits(_REGION, settings.region), "must be set, to a region such as eu-central-1"),
        (
            "ledger_secret",
            _fits(_SECRET, settings.ledger_secret),
            "must be 64 hexadecimal digits in lower case",
        ),
        *_rules_of_production(settings),
        ("owner", bool(settings.owner.strip()), "must not be empty"),
        ("log_level", settings.log_level in LOG_LEVELS, f"must be one of {', '.join(LOG_LEVELS)}"),
        (
            "log_retention_days",
            settings.log_retention_days in LOG_RETENTION_DAYS,
            f"must be one of {', '.join(map(str, LOG_RETENTION_DAYS))}",
        ),
        (
            "bundle",
            settings.bundle_path.is_file(),
            f"{settings.bundle} is not there; `make bundle` builds it",
        ),
        *_rules_of_functions(settings),
        *_rules_of_the_table(settings),
        *_rules_of_the_api(settings),
        (
            "settlement_schedule",
            _fits(_SCHEDULE, settings.settlement_schedule),
            "must be cron(...) or rate(...)",
        ),
        ("alarm_email", _fits_or_empty(_ADDRESS, settings.alarm_email), "must be an address"),
        ("budget_email", _fits_or_empty(_ADDRESS, settings.budget_email), "must be an address"),
        ("budget_usd", settings.budget_usd >= 0, "must not be negative"),
        ("budget_email", bool(settings.budget_email) or not settings.budget_usd, "must be set for a budget"),
        ("budget_usd", bool(settings.budget_usd) or not settings.budget_email, "must be set for its address"),
        (
            "site_directory",
            settings.site_path is None or (settings.site_path / "index.html").is_file(),
            f"{settings.site_directory} holds no index.html",
        ),
    ]


def _rules_of_production(settings: "StackSettings") -> list[Rule]:
    named_so = settings.stack.split("-")[0] in ("prod", "production")
    relied_on = settings.production or named_so
    return [
        ("production", settings.production or not named_so, "must be true in a stack of this name"),
        ("protect", settings.protect or not relied_on, "must be true in production"),
        (
            "point_in_time_recovery",
            settings.point_in_time_recovery or not relied_on,
            "must be true in production",
        ),
        ("alarm_email", bool(settings.alarm_email) or not relied_on, "must be set in production"),
        ("budget_usd", bool(settings.budget_usd) or not relied_on, "must be set in production"),
    ]


def _rules_of_functions(settings: "StackSettings") -> list[Rule]:
    memory = "must be 128 to 10240"
    return [
        ("api_memory_mb", 128 <= settings.api_memory_mb <= 10_240, memory),
        ("worker_memory_mb", 128 <= settings.worker_memory_mb <= 10_240, memory),
        ("provisioned_concurrency", settings.provisioned_concurrency >= 0, "must not be negative"),
        (
            "provisioned_concurrency",
            not (settings.snap_start and settings.provisioned_concurrency),
            "cannot be had together with snap_start",
        ),
        (
            "provisioned_concurrency",
            not settings.concurrency_api or settings.provisioned_concurrency <= settings.concurrency_api,
            "must not be more than concurrency_api",
        ),
        *(
            (name, getattr(settings, name) >= 0, "must not be negative")
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
            settings.concurrency_deliver == 0 or settings.concurrency_deliver >= DELIVER_CONCURRENCY_MIN,
            f"must be 0, or {DELIVER_CONCURRENCY_MIN} or more",
        ),
    ]


def _rules_of_the_table(settings: "StackSettings") -> list[Rule]:
    return [
        ("feed_shards", 1 <= settings.feed_shards <= FEED_SHARDS_MAX, f"must be 1 to {FEED_SHARDS_MAX}"),
        ("table_write_units_max", settings.table_write_units_max >= 1, "must be at least 1"),
        ("table_read_units_max", settings.table_read_units_max >= 1, "must be at least 1"),
        (
            "table_warm_write_units",
            settings.table_warm_write_units == 0 or settings.table_warm_write_units >= 4000,
            "must be 0, or 4000 or more",
        ),
        (
            "table_warm_read_units",
            settings.table_warm_read_units == 0 or settings.table_warm_read_units >= 12_000,
            "must be 0, or 12000 or more",
        ),
    ]


def _rules_of_the_api(settings: "StackSettings") -> list[Rule]:
    return [
        *(
            (name, getattr(settings, name) >= 1, "must be at least 1")
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
            all(_fits(_ORIGIN, origin) for origin in settings.cors_origins),
            "must be origins such as https://example.com, without a path",
        ),
        ("domain_name", _fits_or_empty(_DOMAIN, settings.domain_name), "must be a domain name"),
        (
            "certificate_arn",
            _fits_or_empty(_CERTIFICATE, settings.certificate_arn),
            "must be the ARN of a certificate",
        ),
        (
            "certificate_arn",
            bool(settings.certificate_arn) == bool(settings.domain_name),
            "must be set when domain_name is, and only then",
        ),
        (
            "hosted_zone_id",
            not settings.hosted_zone_id or bool(settings.domain_name),
            "is of no use without domain_name",
        ),
    ]


def _fits(pattern: re.Pattern[str], text: str) -> bool:
    return pattern.fullmatch(text) is not None


def _fits_or_empty(pattern: re.Pattern[str], text: str) -> bool:
    return not text or _fits(pattern, text)
