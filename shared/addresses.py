"""Who is calling: the address of a peer behind proxies, and what a limit per address counts by.

A forwarding header is a list that every hop appends to, and the left end of it is whatever the caller wrote. Only the
hops written by proxies we trust mean anything, so the caller is the right-most hop that is not one of them.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

LONGEST = 64  # characters an address with brackets, zone and port can have; anything longer is no address
SITE_BITS = 64  # of an IPv6 address belong to the subscriber's network, the rest is theirs to vary


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return the networks of a setting such as `gateway.trusted-proxies`.

    Args:
        texts: addresses or networks, such as `10.0.0.0/8` or `::1`.

    Raises:
        ValueError: one of them is neither.
    """
    return tuple(ip_network(text, strict=False) for text in texts)


def client_address(peer: str | None, forwarded: Iterable[str], trusted: Sequence[Network]) -> str:
    """Return the right-most untrusted hop: the address that a request really comes from.

    Args:
        peer: the socket's other end, as the kernel says; None or empty on a Unix socket, which is not trusted.
        forwarded: the values of all `X-Forwarded-For` headers, in their order.
        trusted: networks whose forwarding headers are believed.

    Returns:
        An address in its shortest form (IPv4 where it was mapped into IPv6), or what `peer` was if that is none. A hop
        that is no address ends the walk: what stands left of it was not checked by anybody.
    """
    hops = [hop for value in forwarded for hop in value.split(",")]
    if not hops:
        return _shortest(peer or "")
    found = _parse(peer or "")
    if found is None:
        return peer or ""
    while _lies_in(found, trusted) and hops:
        before = _parse(hops.pop())
        if before is None:
            break
        found = before
    return str(found)


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Tell whether an address lies in one of the networks; what is no address lies in none.

    Args:
        address: as `client_address` gives it.
        networks: to look in.
    """
    found = _parse(address)
    return found is not None and _lies_in(found, networks)


def limit_key(address: str) -> str:
    """Return what a limit per address counts by: an IPv4 address, or the /64 network of an IPv6 address.

    Args:
        address: as `client_address` gives it.
    """
    found = _parse(address)
    return str(ip_network((found, SITE_BITS), strict=False)) if isinstance(found, IPv6Address) else address


def _lies_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


@lru_cache(maxsize=4096)
def _shortest(text: str) -> str:
    found = _parse(text)
    return text if found is None else str(found)


@lru_cache(maxsize=4096)
def _parse(text: str) -> Address | None:
    """Read an address, also as proxies write it: quoted, in brackets, with a zone or a port."""
    text = text.strip().strip('"')
    if len(text) > LONGEST:
        return None
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found
