"""Which addresses a receiver's name stands for, and whether webhooks may go there: the guard against forged requests.

A name is resolved once for each connection, every answer is judged, and the connection goes to an address that was
judged, never to the name again: otherwise a name server could answer differently the second time. How an address was
spelled does not matter, since what the resolver made of it is what is judged.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from payments_sandbox.domain.webhook_urls import is_loopback, is_public, is_this_machine

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port to addresses as text, the preferred first. Raises OSError when there are none."""

_LOCALHOST: Final = ("127.0.0.1", "::1")


class NameNotResolved(Exception):
    """No name server knows an address for the host, or none could be asked."""


class AddressRefused(Exception):
    """The host stands for an address that webhooks are not sent to. The message names no address: it would tell whoever
    registered the endpoint about the network that the sandbox runs in."""


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """public: addresses on the public internet are allowed. loopback: so are 127.0.0.0/8 and ::1. All others never are."""

    public: bool = True
    loopback: bool = False

    def allows(self, address: IPv4Address | IPv6Address) -> bool:
        """Whether webhooks may be sent to this address."""
        return (self.public and is_public(address)) or (self.loopback and is_loopback(address))


async def look_up(host: str, port: int) -> Sequence[str]:
    """`Lookup` by the operating system's resolver.

    It runs in a thread that cannot be stopped: a caller that gives up leaves it to the resolver's own time limit.
    """
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
    )
    return [str(address[0]) for *_, address in found]


async def resolve(
    host: str, port: int, policy: AddressPolicy, *, lookup: Lookup = look_up
) -> list[tuple[socket.AddressFamily, str]]:
    """The host's addresses, the preferred first, each with its family; all of them are allowed.

    Raises NameNotResolved, or AddressRefused when *any* address is refused. Leaving out the refused ones would do for a
    connection that is pinned, but a name that stands for both a public and an inner address is either an attack on
    whatever resolves it next or a mistake that would otherwise show up by chance: it is better told of.
    """
    addresses = [ip_address(text) for text in dict.fromkeys(await _look_up(host, port, lookup))]
    if not all(policy.allows(address) for address in addresses):
        raise AddressRefused("the host stands for an address that webhooks are not sent to")
    return [
        (socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6, str(address))
        for address in addresses
    ]


async def _look_up(host: str, port: int, lookup: Lookup) -> Sequence[str]:
    try:
        return [str(ip_address(host))]
    except ValueError:
        pass
    if is_this_machine(host.lower()):
        # No server is asked: many resolvers do not know *.localhost, and a hostile one must not. RFC 6761, section 6.3.
        return _LOCALHOST
    try:
        addresses = await lookup(host, port)
    except (OSError, UnicodeError) as error:
        raise NameNotResolved("the host's name has no address") from error
    if not addresses:
        raise NameNotResolved("the host's name has no address")
    return addresses
