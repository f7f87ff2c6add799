"""Limits as a test wants them, whatever was there before."""

from tasklane.ports import ControlStore
from tasklane.throttle import Limit


def set_limit(control: ControlStore, limit: Limit) -> None:
    """Keep a limit in the place of the one that there is."""
    there = control.limits([limit.key]).get(limit.key)
    assert control.put_limit(limit, before=there.limit if there else None)
