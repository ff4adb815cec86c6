"""The environment of the functions behind the stream, the queue, the schedule and the state machine."""

import pytest

from payments_sandbox.settings import (
    DeliverSettings,
    RelaySettings,
    SettingsError,
    SettlementSettings,
    SweepSettings,
)
from tests.each_case import each_case

DELIVER = {
    "SANDBOX_TABLE": "Ledger",
    "SANDBOX_LEDGER_SECRET": "ab" * 32,
    "SANDBOX_QUEUE_URL": "https://sqs.example/queue",
    "SANDBOX_KMS_KEY_ID": "alias/webhooks",
}


def without(name: str) -> dict[str, str]:
    return {key: value for key, value in DELIVER.items() if key != name}


def test_each_function_reads_what_it_needs_and_no_secret_that_it_does_not() -> None:
    assert RelaySettings.from_environment({"SANDBOX_TOPIC_ARN": "arn"}) == RelaySettings("arn")
    assert SweepSettings.from_environment(without("SANDBOX_KMS_KEY_ID")) == SweepSettings(
        "Ledger", "ab" * 32, "https://sqs.example/queue"
    )
    settings = DeliverSettings.from_environment({**DELIVER, "SANDBOX_FEED_SHARDS": "4"})
    assert (settings.secret, settings.feed_shards) == (b"\xab" * 32, 4)


@each_case("name", sorted(DELIVER))
def test_a_missing_variable_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is not set"):
        DeliverSettings.from_environment(without(name))


@each_case(
    ("name", "value"),
    [
        ("SANDBOX_LEDGER_SECRET", "ab" * 31),
        ("SANDBOX_LEDGER_SECRET", "no digits"),
        ("SANDBOX_FEED_SHARDS", "0"),
        ("SANDBOX_FEED_SHARDS", "100"),
        ("SANDBOX_LOG_LEVEL", "loud"),
    ],
)
def test_an_unusable_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        DeliverSettings.from_environment({**DELIVER, name: value})


def test_the_ledger_secret_is_not_shown() -> None:
    assert "abab" not in repr(DeliverSettings.from_environment(DELIVER))


SETTLEMENT = {name: DELIVER[name] for name in ("SANDBOX_TABLE", "SANDBOX_LEDGER_SECRET")}


def test_settlement_reads_the_ledgers_settings_and_no_more() -> None:
    settings = SettlementSettings.from_environment({**SETTLEMENT, "SANDBOX_FEED_SHARDS": "2"})
    assert (settings.table, settings.secret, settings.feed_shards) == ("Ledger", b"\xab" * 32, 2)
    assert "abab" not in repr(settings)
    for name in SETTLEMENT:
        with pytest.raises(SettingsError, match=f"{name} is not set"):
            SettlementSettings.from_environment({key: SETTLEMENT[key] for key in SETTLEMENT if key != name})
    with pytest.raises(SettingsError, match="SANDBOX_LEDGER_SECRET"):
        SettlementSettings.from_environment({**SETTLEMENT, "SANDBOX_LEDGER_SECRET": "ab" * 31})
