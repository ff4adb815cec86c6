"""Where webhooks may go: what is said of a URL when it is registered, and of addresses when it is resolved."""

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_sandbox.adapters.webhooks.addresses import (
    AddressPolicy,
    AddressRefused,
    NameNotResolved,
    resolve,
)
from payments_sandbox.domain.webhook_urls import URL_CHARACTERS_MAX, UrlFault, is_public, split_url, url_fault
from tests.each_case import each_case

PUBLIC = AddressPolicy()
EMBEDDED = AddressPolicy(loopback=True)

PUBLIC_ADDRESSES = (
    "8.8.8.8",
    "1.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00:1450:4001::1",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
)
LOOPBACK_ADDRESSES = ("127.0.0.1", "127.255.255.254", "::1")
REFUSED_ADDRESSES = (
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::7f00:1",  # IPv4-compatible
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",  # translated, RFC 2765
    "64:ff9b::10.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::8.8.8.8",  # local NAT64
    "100::1",
    "2001::1",  # Teredo
    "2001:db8::1",
    "2002:7f00:1::",  # 6to4 of 127.0.0.1
    "2002:a9fe:a9fe::1",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",  # a cloud's instance metadata
    "fe80::1",
    "fe80::1%1",
    "::1%1",
    "fec0::1",
    "ff02::1",
)

FAULTS = (
    ("", "absolute URL"),
    ("example.com/hook", "absolute URL"),
    ("//example.com/hook", "absolute URL"),
    ("/hook", "absolute URL"),
    ("https:example.com", "absolute URL"),
    ("https:/example.com", "absolute URL"),
    ("ftp://example.com/", "scheme must be https"),
    ("file:///etc/passwd", "scheme must be https"),
    ("gopher://127.0.0.1:6379/_", "scheme must be https"),
    ("https://", "no host"),
    ("https:///hook", "no host"),
    ("https://?x=1", "no host"),
    ("https://:443/", "no host"),
    ("https://user@example.com/", "user name"),
    ("https://user:password@example.com/", "user name"),
    ("https://example.com:80@169.254.169.254/", "user name"),
    ("https://example.com/#top", "fragment"),
    ("https://example.com#@169.254.169.254/", "fragment"),
    (" https://example.com/", "visible ASCII"),
    ("https://example.com/a b", "visible ASCII"),
    ("https://example.com/\r\nHost: inner", "visible ASCII"),
    ("https://exam\tple.com/", "visible ASCII"),
    ("https://example.com/\x00", "visible ASCII"),
    ("https://example.com/\x7f", "visible ASCII"),
    ("https://bücher.example/", "visible ASCII"),
    ("https://example。com/", "visible ASCII"),
    ("https://example.com/" + "a" * (URL_CHARACTERS_MAX - 19), "longer than 2048"),
    ("https://example.com:/", "port"),
    ("https://example.com:0/", "port"),
    ("https://example.com:65536/", "port"),
    ("https://example.com:99999999999999999999/", "port"),
    ("https://example.com:-1/", "port"),
    ("https://example.com:+1/", "port"),
    ("https://example.com:4_3/", "port"),
    ("https://example.com:443:443/", "domain name or an IP address"),
    ("https://::1/", "domain name or an IP address"),
    ("https://[::1/", "domain name or an IP address"),
    ("https://[::1]x/", "domain name or an IP address"),
    ("https://[]/", "IPv6 address"),
    ("https://[127.0.0.1]/", "IPv6 address"),
    ("https://[fe80::1%251]/", "IPv6 address"),
    ("https://[fe80::1%eth0]/", "IPv6 address"),
    ("https://2130706433/", "four decimal numbers"),
    ("https://0x7f000001/", "four decimal numbers"),
    ("https://0x7F.1/", "four decimal numbers"),
    ("https://0177.0.0.1/", "four decimal numbers"),
    ("https://127.1/", "four decimal numbers"),
    ("https://127.0.0.0x/", "four decimal numbers"),
    ("https://8.8.8.8.8/", "four decimal numbers"),
    ("https://256.1.1.1/", "four decimal numbers"),
    ("https://8.8.8.8./", "domain name"),
    ("https://example.com./", "domain name"),
    ("https://example..com/", "domain name"),
    ("https://.example.com/", "domain name"),
    ("https://-example.com/", "domain name"),
    ("https://example.com\\.inner/", "domain name"),
    ("https://example.com\\@inner/", "user name"),
    ("https://exa%6dple.com/", "domain name"),
    ("https://example.com;inner/", "domain name"),
    ("https://*.example.com/", "domain name"),
    ("https://" + "a" * 64 + ".com/", "domain name"),
    ("https://" + ".".join(["a" * 60] * 5) + "/", "domain name"),
)

FINE = (
    "https://example.com",
    "https://example.com/",
    "HTTPS://Example.COM/Hook",
    "https://example.com:8443/hook?a=1",
    "https://example.com?x=1",
    "https://xn--bcher-kva.example/",
    "https://my_hook.example.com/a%2Fb?x=%20&y=a+b&z=[1]&&=",
    'https://example.com/"<>^`{|}\\',
    "https://example.com/a@b:c?https://user@inner/",
    "https://8.8.8.8/hook",
    "https://[2606:4700::1111]:443/hook",
    "https://receiver/",
    "https://example.com/" + "a" * (URL_CHARACTERS_MAX - 20),
)

ON_THIS_MACHINE = (
    "http://localhost/",
    "http://LOCALHOST:3000/hook",
    "http://hooks.localhost:3000/",
    "http://127.0.0.1:3000/",
    "http://127.8.9.10/",
    "http://[::1]:3000/",
    "https://localhost:3000/",
    "https://[::1]/",
)


def resolved(host: str, policy: AddressPolicy, *addresses: str) -> Sequence[tuple[socket.AddressFamily, str]]:
    async def lookup(_host: str, _port: int) -> Sequence[str]:
        return addresses

    return asyncio.run(resolve(host, 443, policy, lookup=lookup))


@each_case("url", FINE)
@each_case("loopback", [False, True])
def test_an_https_url_of_a_public_host_is_fine(url: str, loopback: bool) -> None:
    assert url_fault(url, loopback=loopback) is None


@each_case(("url", "reason"), FAULTS)
@each_case("loopback", [False, True])
def test_what_is_wrong_with_a_url_is_said(url: str, reason: str, loopback: bool) -> None:
    fault = url_fault(url, loopback=loopback)
    assert fault is not None
    assert reason in fault
    assert not fault.endswith(".")


@each_case("url", ON_THIS_MACHINE)
def test_this_machine_is_allowed_only_where_the_home_says_so(url: str) -> None:
    assert url_fault(url, loopback=True) is None
    assert url_fault(url, loopback=False) is not None


@each_case(
    "url",
    [
        "http://example.com/",
        "http://8.8.8.8/",
        "http://localhost.example.com/",
        "http://notlocalhost/",
        "http://[::ffff:127.0.0.1]/",
    ],
)
@each_case("loopback", [False, True])
def test_plain_http_never_leaves_this_machine(url: str, loopback: bool) -> None:
    assert "scheme must be https" in (url_fault(url, loopback=loopback) or "")


@each_case("address", REFUSED_ADDRESSES)
@each_case("loopback", [False, True])
def test_a_url_cannot_name_an_address_that_is_refused(address: str, loopback: bool) -> None:
    host = f"[{address}]" if ":" in address else address
    assert url_fault(f"https://{host}/", loopback=loopback) is not None


@given(st.text(max_size=40))
def test_a_fault_never_repeats_what_was_sent(text: str) -> None:
    for url in (text, f"https://{text}", f"https://{text}@example.com/", f"https://s3cret-{text}/"):
        fault = url_fault(url, loopback=False)
        assert fault is None or "s3cret" not in fault


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=60))
def test_a_url_that_is_taken_apart_is_the_sum_of_its_parts(rest: str) -> None:
    url = f"https://example.com/{rest}"
    try:
        parts = split_url(url)
    except UrlFault:
        assert "#" in rest
        return
    assert f"{parts.scheme}://{parts.authority}{parts.target}" == url
    assert (parts.host, parts.port) == ("example.com", 443)


@each_case(
    ("url", "authority", "target"),
    [
        ("https://Example.com", "Example.com", "/"),
        ("https://example.com:443?x=1", "example.com:443", "/?x=1"),
        ("https://example.com?", "example.com", "/?"),
        ("https://[2606:4700::1111]:8443//a/../b?", "[2606:4700::1111]:8443", "//a/../b?"),
    ],
)
def test_only_an_empty_path_is_added_to(url: str, authority: str, target: str) -> None:
    parts = split_url(url)
    assert (parts.authority, parts.target) == (authority, target)


@each_case("address", PUBLIC_ADDRESSES)
def test_public_addresses_are_allowed_in_every_home(address: str) -> None:
    for policy in (PUBLIC, EMBEDDED):
        ((family, text),) = resolved("receiver.example", policy, address)
        assert ip_address(text) == ip_address(address)
        assert family == (socket.AF_INET6 if ":" in address else socket.AF_INET)


@each_case("address", LOOPBACK_ADDRESSES)
def test_loopback_addresses_are_allowed_only_where_the_policy_says_so(address: str) -> None:
    assert [text for _, text in resolved("receiver.example", EMBEDDED, address)] == [address]
    with pytest.raises(AddressRefused):
        resolved("receiver.example", PUBLIC, address)


@each_case("address", REFUSED_ADDRESSES)
@each_case("policy", [PUBLIC, EMBEDDED])
def test_all_other_addresses_are_refused(address: str, policy: AddressPolicy) -> None:
    with pytest.raises(AddressRefused) as refused:
        resolved("receiver.example", policy, address)
    assert address not in str(refused.value)


@each_case("addresses", [("8.8.8.8", "10.0.0.1"), ("fd00::1", "2606:4700::1111")])
def test_one_refused_address_refuses_the_host(addresses: tuple[str, ...]) -> None:
    with pytest.raises(AddressRefused):
        resolved("rebinding.example", PUBLIC, *addresses)


def test_addresses_keep_their_order_and_come_once() -> None:
    found = resolved("receiver.example", PUBLIC, "2606:4700::1111", "8.8.8.8", "2606:4700::1111")
    assert found == [(socket.AF_INET6, "2606:4700::1111"), (socket.AF_INET, "8.8.8.8")]


def test_a_policy_without_public_addresses_allows_this_machine_alone() -> None:
    here = AddressPolicy(public=False, loopback=True)
    assert resolved("receiver.example", here, "127.0.0.1")
    with pytest.raises(AddressRefused):
        resolved("receiver.example", here, "8.8.8.8")


@each_case("host", ["localhost", "LocalHost", "hooks.localhost"])
def test_no_name_server_is_asked_about_localhost(host: str) -> None:
    # Were it asked, it would answer with a public address.
    assert [text for _, text in resolved(host, EMBEDDED, "8.8.8.8")] == ["127.0.0.1", "::1"]
    with pytest.raises(AddressRefused):
        resolved(host, PUBLIC, "8.8.8.8")


@each_case("host", ["10.0.0.1", "::ffff:10.0.0.1"])
def test_no_name_server_is_asked_about_an_address(host: str) -> None:
    with pytest.raises(AddressRefused):
        resolved(host, PUBLIC, "8.8.8.8")


def test_a_name_without_addresses_is_not_resolved() -> None:
    with pytest.raises(NameNotResolved):
        resolved("nowhere.example", PUBLIC)


@pytest.mark.parametrize("error", [socket.gaierror(-2, "unknown"), UnicodeError("label too long")])
def test_what_the_resolver_cannot_do_is_a_name_not_resolved(error: Exception) -> None:
    async def failing(_host: str, _port: int) -> Sequence[str]:
        raise error

    with pytest.raises(NameNotResolved):
        asyncio.run(resolve("nowhere.example", 443, PUBLIC, lookup=failing))


def test_the_ends_of_every_refused_range_are_refused() -> None:
    for first, last in (
        ("10.0.0.0", "10.255.255.255"),
        ("100.64.0.0", "100.127.255.255"),
        ("172.16.0.0", "172.31.255.255"),
        ("192.168.0.0", "192.168.255.255"),
        ("169.254.0.0", "169.254.255.255"),
        ("198.18.0.0", "198.19.255.255"),
        ("224.0.0.0", "255.255.255.255"),
        ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ):
        assert not is_public(ip_address(first))
        assert not is_public(ip_address(last))
