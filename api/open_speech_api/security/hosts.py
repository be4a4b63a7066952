"""Addresses: which are this machine only, and under which names others reach it."""

from __future__ import annotations

import socket
from ipaddress import ip_address

OUTSIDE = (("192.0.2.1", socket.AF_INET), ("2001:db8::1", socket.AF_INET6))
"""Addresses nobody has (RFC 5737, RFC 3849): the way there shows our own address; nothing is sent."""


def is_loopback(host: str | None) -> bool:
    """Say whether only this machine can reach ``host``; None is the default, 127.0.0.1."""
    if host is None or host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_everywhere(host: str) -> bool:
    """Say whether ``host`` means all addresses of this machine."""
    try:
        return ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return False


def own_names(host: str | None) -> tuple[str, ...]:
    """Name all that a client may call this server by, when it listens on ``host``."""
    names = ["localhost", "127.0.0.1", "::1", socket.gethostname()]
    if host is not None and not is_everywhere(host):
        names.append(host.strip("[]"))
    elif host is not None:
        names += _outward_addresses()
    return tuple(dict.fromkeys(name for name in names if name))


def _outward_addresses() -> list[str]:
    found: list[str] = []
    for target, family in OUTSIDE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((target, 9))
                found.append(str(probe.getsockname()[0]))
        except OSError:
            continue
    return found
