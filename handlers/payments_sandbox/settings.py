"""The one place where the environment is read.

Every variable is a field of one of the classes here, named `SANDBOX_` and the field in capitals; a test compares the
fields of those that Lambda functions read with what the deployed functions are given. Bad values are refused by name.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

PREFIX = "SANDBOX_"
LOG_LEVELS = ("debug", "info", "warning", "error")
PORT_MAX = 65_535
FEED_SHARDS_MAX = 99


class SettingsError(Exception):
    """A setting that is missing or cannot be used; the message names it and says what is expected."""


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """The embedded home.

    db: the ledger's file; its secret lies beside it in a file with `.key` appended. cors_origins: comma-separated
    origins of pages that may call the API. log_level: one of `LOG_LEVELS`; `info` logs every request.
    """

    db: str = "payments-sandbox.db"
    host: str = "127.0.0.1"
    port: int = 8080
    cors_origins: str = "http://localhost:5173,http://127.0.0.1:5173"
    log_level: str = "info"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """The settings that the environment gives, and defaults for the rest. Raises SettingsError."""
        settings = cls(**_read(cls, environ))
        _check_log_level(settings.log_level)
        if settings.port > PORT_MAX:
            raise SettingsError(f"{PREFIX}PORT must be 0 to {PORT_MAX}")
        return settings


class _OfLedger:
    """What the settings of every function that opens the deployed ledger have in common: how they are read and checked."""

    __slots__ = ()

    ledger_secret: str
    feed_shards: int
    log_level: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """The settings that the environment gives. Raises SettingsError for a missing or unusable one."""
        settings = cls(**_read(cls, environ))
        _check_log_level(settings.log_level)
        _check_ledger(settings.secret, settings.feed_shards)
        return settings

    @property
    def secret(self) -> bytes:
        """The ledger secret, decoded. Raises SettingsError."""
        return _decode_secret(self.ledger_secret)


@dataclass(frozen=True, slots=True)
class LambdaSettings(_OfLedger):
    """The AWS home.

    table: the DynamoDB table. ledger_secret: 64 hexadecimal digits, the key of every id that is derived from a card
    number or an idempotency key; changing it orphans all of them. feed_shards: over how many partitions one account's
    feed, or one card's, is spread: each takes 1,000 writes a second; never lower it. contract: a contract prepared as
    JSON at build time; empty reads the YAML. kms_key_id: the key that seals webhook secrets. public_url: where clients
    reach the API, without a slash at the end. default_usage_plan, demo_usage_plan: API Gateway's ids of the plans that
    keys are put under; empty where no gateway asks for keys. demo_api_key: the demo account's key, which the gateway
    knows; empty for no demo account.
    """

    table: str
    ledger_secret: str = field(repr=False)
    feed_shards: int = 16
    contract: str = ""
    kms_key_id: str = ""
    public_url: str = ""
    default_usage_plan: str = ""
    demo_usage_plan: str = ""
    demo_api_key: str = field(default="", repr=False)
    cors_origins: str = ""
    log_level: str = "info"


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """The function that follows the table's stream. topic_arn: of the topic that it announces events to."""

    topic_arn: str
    log_level: str = "info"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """The settings that the environment gives. Raises SettingsError for a missing or unusable one."""
        settings = cls(**_read(cls, environ))
        _check_log_level(settings.log_level)
        return settings


@dataclass(frozen=True, slots=True)
class DeliverSettings(_OfLedger):
    """The function that delivers webhooks. queue_url: of the queue that feeds it, and takes its retries. kms_key_id: the
    key that seals webhook secrets. The others as in `LambdaSettings`, whose values they have to have."""

    table: str
    ledger_secret: str = field(repr=False)
    queue_url: str
    kms_key_id: str
    feed_shards: int = 16
    log_level: str = "info"


@dataclass(frozen=True, slots=True)
class SweepSettings(_OfLedger):
    """The function that finds what is due in the table: deliveries, for which it sends messages to the queue at queue_url,
    and the rest, which it does. The others as in `LambdaSettings`, whose values they have to have."""

    table: str
    ledger_secret: str = field(repr=False)
    queue_url: str
    feed_shards: int = 16
    log_level: str = "info"


@dataclass(frozen=True, slots=True)
class SettlementSettings(_OfLedger):
    """The function that settles accounts, a task at a time. Its values have to be those of `LambdaSettings`."""

    table: str
    ledger_secret: str = field(repr=False)
    feed_shards: int = 16
    log_level: str = "info"


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """The commands that call a sandbox, this machine's or a deployed one.

    url: where its API is. api_key: empty when none is given; never an option of a command, so that it lands in no shell
    history and no process list.
    """

    url: str = "http://127.0.0.1:8080"
    api_key: str = field(default="", repr=False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """The settings that the environment gives, and defaults for the rest."""
        return cls(**_read(cls, environ))


def origins(text: str) -> tuple[str, ...]:
    """Comma-separated origins as a tuple."""
    return tuple(origin.strip() for origin in text.split(",") if origin.strip())


def contract_path() -> Path:
    """The contract: beside the package in a checkout, inside it once installed."""
    here = Path(__file__).parent
    packaged = here / "openapi" / "payments.yaml"
    return packaged if packaged.exists() else here.parents[1] / "openapi" / "payments.yaml"


def _read(cls: type[Any], environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for setting in fields(cls):
        name = PREFIX + setting.name.upper()
        text = environ.get(name)
        if text is None:
            if isinstance(setting.default, str | int):
                continue
            raise SettingsError(f"{name} is not set")
        values[setting.name] = _integer(name, text) if setting.type is int else text
    return values


def _integer(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise SettingsError(f"{name} must be a whole number")
    return int(text)


def _check_log_level(level: str) -> None:
    if level not in LOG_LEVELS:
        raise SettingsError(f"{PREFIX}LOG_LEVEL must be one of {', '.join(LOG_LEVELS)}")


def _check_ledger(secret: bytes, feed_shards: int) -> None:
    if len(secret) < 32:
        raise SettingsError(f"{PREFIX}LEDGER_SECRET must be 64 hexadecimal digits or more")
    if not 1 <= feed_shards <= FEED_SHARDS_MAX:
        raise SettingsError(f"{PREFIX}FEED_SHARDS must be 1 to {FEED_SHARDS_MAX}")


def _decode_secret(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise SettingsError(f"{PREFIX}LEDGER_SECRET must be 64 hexadecimal digits or more") from error
