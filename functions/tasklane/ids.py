"""Task ids: time-ordered, or derived from an idempotency key."""

import hashlib
import os
import uuid


def new_task_id(now: int) -> str:
    """A UUIDv7 (RFC 9562, section 5.7): ``now`` in Unix milliseconds, then random bits, so that ids sort by time."""
    value = (now & ((1 << 48) - 1)) << 80 | int.from_bytes(os.urandom(10), "big")
    return str(uuid.UUID(int=_stamp(value, version=7)))


def derived_task_id(caller: str, key: str) -> str:
    """A UUIDv8 (RFC 9562, section 5.8) from ``caller`` and ``key``: the same pair always names the same task."""
    digest = hashlib.sha256(f"{len(caller)}:{caller}:{key}".encode()).digest()
    return str(uuid.UUID(int=_stamp(int.from_bytes(digest[:16], "big"), version=8)))


def new_lease_id() -> str:
    """Eight random characters: enough to tell one claim of a run from another."""
    return os.urandom(4).hex()


def _stamp(value: int, *, version: int) -> int:
    value = value & ~(0xF << 76) | version << 76
    return value & ~(0x3 << 62) | 0x2 << 62
