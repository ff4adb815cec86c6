"""The environment is read in one place, and what cannot be used is refused by name and without its value."""

import pytest

from payments_sandbox.settings import (
    LambdaSettings,
    LocalSettings,
    SettingsError,
    contract_path,
    origins,
)
from tests.each_case import each_case

SECRET = "0123456789abcdef" * 4
LAMBDA = {"SANDBOX_TABLE": "PaymentsLedger", "SANDBOX_LEDGER_SECRET": SECRET}


def test_the_embedded_home_needs_no_settings() -> None:
    settings = LocalSettings.from_environment({})
    assert settings == LocalSettings()
    assert (settings.db, settings.host, settings.port) == ("payments-sandbox.db", "127.0.0.1", 8080)
    assert settings.log_level == "info"


def test_every_setting_of_the_embedded_home_can_be_given() -> None:
    environ = {
        "SANDBOX_DB": "/var/lib/ledger.db",
        "SANDBOX_HOST": "0.0.0.0",
        "SANDBOX_PORT": "0",
        "SANDBOX_CORS_ORIGINS": "",
        "SANDBOX_LOG_LEVEL": "debug",
        "PORT": "9999",
        "SANDBOX_UNKNOWN": "x",
    }
    settings = LocalSettings.from_environment(environ)
    assert settings.db == "/var/lib/ledger.db"
    assert (settings.host, settings.port) == ("0.0.0.0", 0)
    assert (settings.cors_origins, settings.log_level) == ("", "debug")


def test_the_aws_home_reads_its_table_and_secret() -> None:
    settings = LambdaSettings.from_environment({**LAMBDA, "SANDBOX_FEED_SHARDS": "4"})
    assert (settings.table, settings.feed_shards) == ("PaymentsLedger", 4)
    assert settings.secret == bytes.fromhex(SECRET)
    assert LambdaSettings.from_environment(LAMBDA).feed_shards == 16


@each_case("name", sorted(LAMBDA))
def test_a_missing_setting_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{name} is not set$"):
        LambdaSettings.from_environment({key: value for key, value in LAMBDA.items() if key != name})


@each_case(
    "text", ["", " 80", "8e3", "-1", "+80", "80.0", "1_000", "٨٠٨٠", "８０", "0x50", "1234567890", "http"]
)
def test_a_number_that_is_none_is_refused_by_name_and_without_its_value(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^SANDBOX_PORT must be a whole number$"):
        LocalSettings.from_environment({"SANDBOX_PORT": text})
    with pytest.raises(SettingsError, match=r"^SANDBOX_FEED_SHARDS must be a whole number$"):
        LambdaSettings.from_environment({**LAMBDA, "SANDBOX_FEED_SHARDS": text})


def test_a_port_lies_between_0_and_65535() -> None:
    assert LocalSettings.from_environment({"SANDBOX_PORT": "65535"}).port == 65535
    with pytest.raises(SettingsError, match=r"^SANDBOX_PORT must be 0 to 65535$"):
        LocalSettings.from_environment({"SANDBOX_PORT": "65536"})


@pytest.mark.parametrize("text", ["0", "100"])
def test_a_feed_has_at_least_one_shard_and_as_many_as_the_table_can_name(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^SANDBOX_FEED_SHARDS must be 1 to 99$"):
        LambdaSettings.from_environment({**LAMBDA, "SANDBOX_FEED_SHARDS": text})
    for allowed in ("1", "99"):
        shards = LambdaSettings.from_environment({**LAMBDA, "SANDBOX_FEED_SHARDS": allowed}).feed_shards
        assert shards == int(allowed)


@each_case("level", ["", "INFO", "verbose", "info "])
def test_an_unknown_log_level_is_refused_with_those_that_there_are(level: str) -> None:
    for read in (
        lambda: LocalSettings.from_environment({"SANDBOX_LOG_LEVEL": level}),
        lambda: LambdaSettings.from_environment({**LAMBDA, "SANDBOX_LOG_LEVEL": level}),
    ):
        with pytest.raises(SettingsError, match="one of debug, info, warning, error"):
            read()


@each_case("secret", ["", "00" * 31, SECRET[:-1], "x" * 64, SECRET[:-2] + "zz", "hunter2"])
def test_a_ledger_secret_that_is_too_short_or_no_hexadecimal_is_refused_without_repeating_it(
    secret: str,
) -> None:
    with pytest.raises(SettingsError, match="SANDBOX_LEDGER_SECRET") as caught:
        LambdaSettings.from_environment({**LAMBDA, "SANDBOX_LEDGER_SECRET": secret})
    assert str(caught.value) == "SANDBOX_LEDGER_SECRET must be 64 hexadecimal digits or more"


def test_settings_do_not_print_the_ledger_secret() -> None:
    settings = LambdaSettings.from_environment(LAMBDA)
    assert SECRET not in f"{settings!r} {settings}"
    assert "PaymentsLedger" in repr(settings)


@each_case(
    ("text", "expected"),
    [
        ("", ()),
        (" , ", ()),
        ("http://a", ("http://a",)),
        ("http://a, https://b:5173 ,", ("http://a", "https://b:5173")),
    ],
)
def test_origins_are_separated_by_commas(text: str, expected: tuple[str, ...]) -> None:
    assert origins(text) == expected


def test_the_contract_is_where_the_settings_say() -> None:
    assert contract_path().is_file()
    assert contract_path().name == "payments.yaml"
