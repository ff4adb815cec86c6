"""Where webhooks may be sent: how an endpoint's URL is taken apart, and which addresses are open to anybody's webhooks.

A URL is kept and used byte for byte, so it is read here and never rewritten: `urllib.parse` drops tabs and line breaks
without a word, and takes hosts that no resolver or TLS library agrees about. What the parsers of this world read
differently is refused. Nothing here asks a name server: `handlers/payments_sandbox/adapters/webhooks/addresses.py` does, and judges what it
answers by the same ranges.

Source: RFC 3986 (URLs), RFC 6761 (localhost), RFC 6890 and the IANA special-purpose address registries (ranges).
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

URL_CHARACTERS_MAX: Final = 2048
PORT_MAX: Final = 65_535
HOST_CHARACTERS_MAX: Final = 253

DEFAULT_PORTS: Final = {"https": 443, "http": 80}

_VISIBLE_ASCII: Final = re.compile(r"[\x21-\x7e]*")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HOST_AND_PORT: Final = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([^:]*))?")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")

_THIS_MACHINE_V4: Final = IPv4Network("127.0.0.0/8")
_THIS_MACHINE_V6: Final = IPv6Address("::1")

_NOT_PUBLIC_V4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # "this network"; Linux connects 0.0.0.0 to itself
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # carrier-grade NAT, and some clouds' inner services
            "127.0.0.0/8",  # loopback
            "169.254.0.0/16",  # link-local, where clouds keep instance credentials
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # IETF protocols
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # the retired 6to4 relays
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)

_GLOBAL_V6: Final = IPv6Network("2000::/3")
_NOT_PUBLIC_V6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # IETF protocols: Teredo, ORCHID, benchmarks
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, whose relays are retired: an IPv4 address of anybody's choice inside
            "3fff::/20",  # documentation
        ),
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")
"""How a receiver with an IPv4 address is reached from a network that has IPv6 only; RFC 6052."""


class UrlFault(ValueError):
    """No URL that webhooks can be sent to. The message says why, in lower case, and never repeats the URL."""


@dataclass(frozen=True, slots=True)
class WebhookUrl:
    """A URL's parts.

    scheme: `https` or `http`. host: in lower case, an IPv6 address without its brackets. authority: host and port as
    the URL has them, for the Host header. target: path and query as the URL has them, byte for byte.
    """

    scheme: str
    host: str
    port: int
    authority: str
    target: str

    @property
    def address(self) -> IPv4Address | IPv6Address | None:
        """The host, where it is an address and no name."""
        return _address(self.host)


def split_url(url: str) -> WebhookUrl:
    """Take an absolute http or https URL apart. Raises UrlFault.

    The only thing ever added is the "/" of an empty path, which HTTP cannot do without.
    """
    if len(url) > URL_CHARACTERS_MAX:
        raise UrlFault(f"it is longer than {URL_CHARACTERS_MAX} characters")
    if not _VISIBLE_ASCII.fullmatch(url):
        raise UrlFault("it must consist of visible ASCII characters; percent-encode all others")
    scheme = _SCHEME.match(url)
    if scheme is None:
        raise UrlFault("it must be an absolute URL, with scheme and host")
    if scheme[1].lower() not in DEFAULT_PORTS:
        raise UrlFault("its scheme must be https")
    if "#" in url:
        raise UrlFault("it must have no fragment (#)")
    authority, target = _split_at_path(url[scheme.end() :])
    if "@" in authority:
        raise UrlFault("it must have no user name or password (@)")
    host, port = _split_authority(authority)
    return WebhookUrl(
        scheme=scheme[1].lower(),
        host=_checked_host(host.lower()),
        port=DEFAULT_PORTS[scheme[1].lower()] if port is None else _checked_port(port),
        authority=authority,
        target=target,
    )


def url_fault(url: str, *, loopback: bool) -> str | None:
    """Why an endpoint cannot have this URL, or None when it can. Answers lower case without a full stop, to follow a colon.

    loopback: whether receivers on this machine are allowed, over plain http too. A name is not looked up: what it
    stands for is judged again at each delivery.
    """
    try:
        parts = split_url(url)
    except UrlFault as fault:
        return str(fault)
    local = is_this_machine(parts.host)
    if parts.scheme != "https" and not loopback:
        return "its scheme must be https"
    if parts.scheme != "https" and not local:
        return "its scheme must be https: plain http is for receivers on this machine only"
    if local:
        return None if loopback else "its host is the sandbox's own machine, where webhooks are not sent"
    if parts.address is not None and not is_public(parts.address):
        return "its host is not an address on the public internet"
    return None


def is_this_machine(host: str) -> bool:
    """Whether the host, in lower case, can only be this machine: localhost, *.localhost, 127.0.0.0/8 or ::1."""
    address = _address(host)
    if address is not None:
        return is_loopback(address)
    return host == "localhost" or host.endswith(".localhost")


def is_loopback(address: IPv4Address | IPv6Address) -> bool:
    """Whether this is a loopback address as it is ordinarily written; wrapped into IPv6 it is none."""
    if isinstance(address, IPv4Address):
        return address in _THIS_MACHINE_V4
    return address == _THIS_MACHINE_V6


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether the address belongs to the public internet: of IPv6 only what is given out as global unicast.

    An own table, since `ipaddress.is_global` changes between Python's patch releases and calls 64:ff9b::10.0.0.1 global.
    """
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    inner = _inner_v4(address)
    if inner is not None:
        return is_public(inner)
    return address in _GLOBAL_V6 and not any(address in network for network in _NOT_PUBLIC_V6)


def _inner_v4(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped


def _split_at_path(rest: str) -> tuple[str, str]:
    end = next((at for at, character in enumerate(rest) if character in "/?"), len(rest))
    target = rest[end:]
    return rest[:end], target if target.startswith("/") else "/" + target


def _split_authority(authority: str) -> tuple[str, str | None]:
    match = _HOST_AND_PORT.fullmatch(authority)
    if match is None:
        raise UrlFault("its host must be a domain name or an IP address, an IPv6 address in brackets")
    if not match[1]:
        raise UrlFault("it has no host")
    return match[1], match[2]


def _checked_port(port: str) -> int:
    if not _PORT.fullmatch(port) or not 1 <= int(port) <= PORT_MAX:
        raise UrlFault(f"its port must be 1 to {PORT_MAX}")
    return int(port)


def _checked_host(host: str) -> str:
    if host.startswith("["):
        inside = host[1:-1]
        if not isinstance(_address(inside), IPv6Address):
            raise UrlFault("what stands in brackets must be an IPv6 address, without a zone")
        return inside
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        # Resolvers take 2130706433, 0x7f.1 and 0177.0.0.1 for 127.0.0.1.
        if not isinstance(_address(host), IPv4Address):
            raise UrlFault("an IPv4 address must be written as four decimal numbers")
    elif len(host) > HOST_CHARACTERS_MAX or not all(map(_LABEL.fullmatch, labels)):
        raise UrlFault(
            "its host must be a domain name, in Punycode and without a final dot, or an IP address"
        )
    return host


def _address(host: str) -> IPv4Address | IPv6Address | None:
    if "%" in host:
        return None
    try:
        return ip_address(host)
    except ValueError:
        return None
