"""Who a caller is behind proxies: `X-Forwarded-*` counts only where a trusted address has written it.

aiohttp-remotes answers a header that it cannot read with 400 and never looks at the peer's own address; a callout
answered so would not come again, and anybody could write any source.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp import web

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


@dataclass(frozen=True)
class Caller:
    """The nearest address that is not one of our own proxies, and whether it came by TLS."""

    address: str
    secure: bool


def caller(request: web.Request, trusted: Sequence[Network]) -> Caller:
    """Return who sent a request; without `trusted` networks the peer, whatever it says of others.

    The list is read from its end, where our own proxies have written: what stands before the first address that is not
    theirs, anybody may have written.
    """
    peer = _address(request.remote or "")
    if peer is None or not _is_one_of(peer, trusted):
        return Caller(request.remote or "unknown", request.secure)
    nearest, passed = peer, 0
    for word in reversed(_words(request, "X-Forwarded-For")):
        hop = _address(word)
        if hop is None:
            break
        nearest, passed = hop, passed + 1
        if not _is_one_of(hop, trusted):
            break
    return Caller(str(nearest), _came_by_tls(request, passed))


def _came_by_tls(request: web.Request, passed: int) -> bool:
    """Proxies append to the list of schemes as to that of addresses, or keep one scheme alone."""
    schemes = _words(request, "X-Forwarded-Proto")
    if not schemes:
        return request.secure
    scheme = schemes[-passed] if 0 < passed <= len(schemes) else schemes[0]
    return scheme.lower() == "https"


def _words(request: web.Request, name: str) -> list[str]:
    return [word.strip() for header in request.headers.getall(name, []) for word in header.split(",") if word.strip()]


def _address(word: str) -> Address | None:
    """Read an address; some proxies write its port too (`1.2.3.4:5678`, `[2001:db8::1]:5678`)."""
    if word.startswith("["):
        word = word[1:].partition("]")[0]
    elif word.count(":") == 1:
        word = word.partition(":")[0]
    try:
        address = ip_address(word.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_one_of(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
