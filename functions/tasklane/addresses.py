"""Which addresses requests may go to: pure decisions, nothing is looked up."""

import ipaddress
import socket
from typing import Final
from urllib.parse import urlsplit

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_GLOBAL_UNICAST: Final = ipaddress.ip_network("2000::/3")
# The first holds other clouds' metadata services, the second the relays of 6to4: ipaddress calls most of both global.
_NEVER: Final = (ipaddress.ip_network("192.0.0.0/24"), ipaddress.ip_network("192.88.99.0/24"))


def is_public(address: str) -> bool:
    """True for an address that the public internet routes; IPv4 addresses inside IPv6 ones are judged themselves."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if ip.teredo is not None or (inner is not None and not is_public(str(inner))):
            return False
        if inner is not None:
            return True
        if ip not in _GLOBAL_UNICAST:  # ipaddress calls site-local and unassigned addresses global
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not any(ip in network for network in _NEVER)


def may_go_to(address: str, *, allow_loopback: bool) -> bool:
    """True where a request may go to this address; ``allow_loopback`` is for the local run alone."""
    loopback = ipaddress.ip_address(address.partition("%")[0]).is_loopback
    return is_public(address) or (allow_loopback and loopback)


def written_address(host: str) -> str | None:
    """The address that ``host`` spells, as the resolver reads it (decimal, octal, hexadecimal); None for a name."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError, ValueError):
        return None
    return str(found[0][4][0])


def why_never(url: str, *, allow_loopback: bool) -> str | None:
    """Why no request can ever go to ``url``; None where one may, as far as can be said before its name is looked up."""
    try:
        target = urlsplit(url)
        host, port = target.hostname or "", target.port
    except ValueError as exc:
        return f"Not a URL: {exc}."
    if port == 0:
        return "Nobody listens at port 0."
    address = written_address(host)
    if address is not None and not may_go_to(address, allow_loopback=allow_loopback):
        return f"{host} is not a public address."
    return None
