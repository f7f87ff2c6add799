"""Keeps calls to this machine away from the environment's proxies, which would look for 127.0.0.1 on themselves."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import MutableMapping

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


def spare_loopback(environment: MutableMapping[str, str]) -> None:
    """Add the names of this machine to ``no_proxy``, which the SDK, urllib, httpx and every child process go by."""
    given = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    if given.strip() == "*":
        return  # no proxy at all; the star stands alone
    named = [name.strip() for name in given.split(",") if name.strip()]
    names = ",".join([*named, *(name for name in LOOPBACK if name not in named)])
    environment.update(no_proxy=names, NO_PROXY=names)  # of two that differ, programs take one or the other


def is_loopback(host: str) -> bool:
    """Whether the host of a URL is this machine, whatever a resolver says."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")
