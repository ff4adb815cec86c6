"""The words of the command line, where it finds the sandbox and the key, and what it prints."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from payments_sandbox.entrypoints.api_client import choose_api_key, is_loopback, parse_url
from payments_sandbox.entrypoints.arguments import build_parser
from payments_sandbox.entrypoints.cli import main
from payments_sandbox.entrypoints.listen import derive_secret, parse_secret
from payments_sandbox.entrypoints.pace import Pace
from payments_sandbox.entrypoints.terminal import Terminal, amount_of, one_line
from payments_sandbox.settings import ClientSettings, LocalSettings, SettingsError
from tests.each_case import each_case

SECRET = "whsec_" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"


def parse(*words: str) -> Any:
    return build_parser(LocalSettings(), ClientSettings()).parse_args(words)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SANDBOX_URL", "SANDBOX_API_KEY", "SANDBOX_PORT", "SANDBOX_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)


def test_listen_and_trigger_have_sensible_defaults() -> None:
    listen = parse("listen")
    assert (listen.url, listen.forward_to, listen.events, listen.replay, listen.secret, listen.json) == (
        "http://127.0.0.1:8080",
        None,
        ("*",),
        0,
        None,
        False,
    )
    trigger = parse("trigger", "payment.captured")
    assert (trigger.event, trigger.on, trigger.set, trigger.simulate, trigger.json) == (
        "payment.captured",
        None,
        [],
        None,
        False,
    )


def test_all_options_are_understood() -> None:
    listen = parse(
        *("listen", "--url", "https://example.com/prod/v1/", "--forward-to", "localhost:3000/hooks?a=b"),
        *("--events", "payment.captured, payment.refunded"),
        *("--replay", "5", "--secret", SECRET, "--json"),
    )
    assert listen.url == "https://example.com/prod"
    assert listen.forward_to == "http://localhost:3000/hooks?a=b"
    assert listen.events == ("payment.captured", "payment.refunded")
    assert (listen.replay, listen.secret, listen.json) == (5, b"012345678901234567890123", True)
    trigger = parse(
        "trigger", "payment.captured", "--on", "auth_1", "--set", "amount=1200", "--set", "a.b=c=d"
    )
    assert trigger.on == "auth_1"
    assert [(each.field, each.value) for each in trigger.set] == [("amount", 1200), ("a.b", "c=d")]


@each_case(
    ("words", "said"),
    [
        (["liste"], "invalid choice"),
        (["listen", "--url", "ftp://example.com"], "--url"),
        (["listen", "--url", "http://exa mple"], "--url"),
        (["listen", "--url", "http://h/?q=1"], "no query"),
        (["listen", "--forward-to", "http://user:word@h/"], "--forward-to"),
        (["listen", "--forward-to", ""], "--forward-to"),
        (["listen", "--events", "payment.capturd"], "did you mean payment.captured?"),
        (["listen", "--events", "payments.*"], "--events"),
        (["listen", "--events", ","], "no event is named"),
        (["listen", "--replay", "-1"], "--replay"),
        (["listen", "--replay", "10001"], "from 0 to 10000"),
        (["listen", "--secret", "whsec_c2hvcnQ="], "24 to 64 bytes"),
        (["listen", "--secret", "hunter2hunter2"], "whsec_"),
        (["trigger"], "EVENT"),
        (["trigger", "payment.captured", "--list"], "not allowed"),
        (["trigger", "payment.capturd"], "did you mean payment.captured?"),
        (["trigger", "webhook_endpoint.disabled"], "no event that can be asked for"),
        (["trigger", "payment.captured", "--set", "amount"], "KEY=VALUE"),
        (["trigger", "payment.captured", "--set", "card..number=1"], "KEY=VALUE"),
        (["trigger", "payment.captured", "--set", "=1"], "KEY=VALUE"),
        (["trigger", "payment.authorized", "--on", "auth_1"], "--on does not go with it"),
        (["trigger", "payment.captured", "--set", "metadata=1", "--set", "metadata.a=1"], "metadata.a"),
    ],
)
def test_words_that_make_no_sense_end_with_2_and_say_why(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert "hunter2" not in captured.err
    assert captured.out == ""


def test_no_command_at_all_teaches_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    for command in ("serve", "listen", "trigger"):
        assert command in printed.err


@pytest.mark.parametrize("command", [[], ["serve"], ["listen"], ["trigger"]])
def test_help_teaches(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "--api-key" not in shown
    if command in (["listen"], ["trigger"]):
        assert f"  payments-sandbox {command[0]} " in shown.partition("Examples:")[2]
        assert "SANDBOX_API_KEY" in shown


@each_case(
    ("typed", "url"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("localhost:9000/", "http://localhost:9000"),
        ("[::1]:9000", "http://[::1]:9000"),
        (
            "https://abc.execute-api.eu-west-1.amazonaws.com/prod/",
            "https://abc.execute-api.eu-west-1.amazonaws.com/prod",
        ),
        ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080/v1/", "http://127.0.0.1:8080"),
    ],
)
def test_a_sandbox_may_be_named_as_people_type_it(typed: str, url: str) -> None:
    assert parse_url(typed) == url


@each_case("url", ["http://127.0.0.1", "http://127.8.9.1:1", "http://[::1]:1", "http://localhost:1"])
def test_the_demo_key_is_for_this_machine(url: str) -> None:
    assert is_loopback(url)
    assert choose_api_key(ClientSettings(), url) == "sk_test_demo"
    assert choose_api_key(ClientSettings(api_key=" sk_test_mine\n"), url) == "sk_test_mine"


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1", "https://localhost.example.com", "http://127.0.0.1.nip.io"]
)
def test_another_machine_needs_a_key_of_its_own(url: str) -> None:
    with pytest.raises(SettingsError, match="SANDBOX_API_KEY is not set"):
        choose_api_key(ClientSettings(), url)
    with pytest.raises(SettingsError, match="SANDBOX_API_KEY does not hold") as refused:
        choose_api_key(ClientSettings(api_key="sk_test_a\u00e9 b"), url)
    assert "sk_test_a" not in str(refused.value)
    assert "sk_test" not in repr(ClientSettings(api_key="sk_test_mine"))


def test_a_missing_key_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SANDBOX_URL", "https://sandbox.example.com")
    assert main(["trigger", "payment.captured"]) == 1
    assert main(["listen"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("payments-sandbox: error: SANDBOX_API_KEY is not set") for line in lines)


def test_a_bad_setting_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SANDBOX_PORT", "eighty")
    assert main(["serve"]) == 1
    assert capsys.readouterr().err == "payments-sandbox: error: SANDBOX_PORT must be a whole number\n"


def test_serve_says_in_one_line_why_it_cannot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--host", "192.0.2.1", "--port", "0", "--db", str(tmp_path / "x.db")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_reader_that_leaves_is_no_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def leave(*_: object) -> int:
        raise BrokenPipeError

    monkeypatch.setattr("payments_sandbox.entrypoints.trigger.list_recipes", leave)
    with (tmp_path / "out").open("w") as out:
        monkeypatch.setattr("sys.stdout", out)
        assert main(["trigger", "--list"]) == 0


def test_the_signing_secret_is_stable_and_differs_from_key_to_key() -> None:
    one = derive_secret("sk_test_demo")
    assert one == derive_secret("sk_test_demo") != derive_secret("sk_test_demp")
    assert len(one) == 32
    assert parse_secret(SECRET) == b"012345678901234567890123"


def test_the_default_plan_is_asked_every_three_seconds_until_the_api_says_more() -> None:
    pace = Pace()
    assert pace.before_poll_s(1) == 3
    assert pace.between_pages_s() == 3


@each_case(
    ("policy", "left", "before_poll_s", "between_pages_s"),
    [
        ('"default";q=100;w=60', '"default";r=99;t=1', 3, 0),
        ('"default";q=100;w=60', '"default";r=49;t=30', 3, 3),
        ('"default";q=100;w=60', '"default";r=24;t=46', 9, 3),
        ('"demo";q=6000000;w=60', '"demo";r=5999999;t=1', 0.25, 0),
        ('"minute";q=30;w=60, "hour";q=60;w=3600', '"minute";r=29;t=1', 300, 300),
        ("", "", 3, 3),
        ("garbage;;;=", "1.5;r", 3, 3),
        ('"zero";q=0;w=60', '"zero";r=0;t=1', 9, 3),
    ],
)
def test_the_pace_follows_the_plan(
    policy: str, left: str, before_poll_s: float, between_pages_s: float
) -> None:
    pace = Pace()
    pace.observe({"ratelimit-policy": policy, "ratelimit": left})
    assert (pace.before_poll_s(1), pace.between_pages_s()) == (before_poll_s, between_pages_s)


def test_a_walk_of_many_pages_is_paid_for_afterwards() -> None:
    pace = Pace()
    pace.observe({"ratelimit-policy": '"default";q=100;w=60', "ratelimit": '"default";r=99;t=1'})
    assert pace.before_poll_s(4) == 12


class _Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_are_for_terminals() -> None:
    screen, file = _Screen(), io.StringIO()
    for out in (screen, file):
        Terminal(out, out).say("done", good=True)
    assert screen.getvalue() == "\x1b[32mdone\x1b[0m\n"
    assert file.getvalue() == "done\n"


def test_programs_get_json_alone_and_trouble_goes_to_standard_error() -> None:
    out, err = io.StringIO(), io.StringIO()
    terminal = Terminal(out, err, as_json=True)
    terminal.say("for people")
    terminal.record({"name": "J\u00fcrgen\n"})
    terminal.warn("first\nsecond")
    assert out.getvalue() == '{"name":"J\\u00fcrgen\\n"}\n'
    assert json.loads(out.getvalue()) == {"name": "J\u00fcrgen\n"}
    assert err.getvalue() == "payments-sandbox: first second\n"


def test_what_came_over_the_network_cannot_steer_a_terminal() -> None:
    assert one_line("a\x1b[2Jb\r\nc\x9bd") == "a [2Jb  c d"


@each_case(
    ("data", "shown"),
    [
        ({"amount": 1051, "currency": "EUR"}, "10.51 EUR"),
        ({"amount": 1051, "currency": "JPY"}, "1051 JPY"),
        ({"amount": 1051, "currency": "KWD"}, "1.051 KWD"),
        ({"amount": 1051, "currency": "XXX"}, "1051 XXX"),
        ({"endpoint_id": "we_1"}, ""),
    ],
)
def test_amounts_are_shown_in_the_major_unit(data: dict[str, Any], shown: str) -> None:
    assert amount_of(data) == shown
