"""Lines: where waiting tasks stand outside their lanes, because something holds them back. Names and order, no I/O.

A line is named by its kind and by what holds its tasks back: ``pause:lane:3``, ``pause:type:echo``, ``limit:cluster``.
What waits for an external worker stands in the line of its type: ``pull:resize``. What has a time slot by the rate of a
key stands in ``rate:cluster``, and is on its way all the same: its line is only for whoever changes the rate.
"""

from collections.abc import Sequence
from typing import Final

from tasklane.task import HIGHEST_PRIORITY, Task

SHARDS: Final = {"pause": 16, "limit": 1, "pull": 1, "rate": 4}
"""Index partitions of a line, by its kind: each takes 1,000 tasks a second, and each is asked when one is let go."""
NOTED_MS: Final = 300_000
"""For how long it is noted that somebody waits for a key; noted again by who joins its line after half of that."""
EVERY_PULL: Final = "pull"
"""All lines of ``pull_line`` taken as one; it has an index of its own."""


def lane_target(lane: int) -> str:
    """What is paused when a lane is."""
    return f"lane:{lane}"


def type_target(name: str) -> str:
    """What is paused when a task type is."""
    return f"type:{name}"


def pause_line(target: str) -> str:
    """Where tasks wait while ``target`` (a lane or a task type) is paused."""
    return f"pause:{target}"


def limit_line(key: str) -> str:
    """Where tasks wait while the limit of ``key`` has no room."""
    return f"limit:{key}"


def limit_key(line: str) -> str | None:
    """The key of a line of ``limit_line``; None for other lines."""
    return line.removeprefix("limit:") if line.startswith("limit:") else None


def rate_line(key: str) -> str:
    """Where tasks stand that have a time slot by the rate of ``key``."""
    return f"rate:{key}"


def rate_key(line: str) -> str | None:
    """The key of a line of ``rate_line``; None for other lines."""
    return line.removeprefix("rate:") if line.startswith("rate:") else None


def is_rate(line: str | None) -> bool:
    """True for lines of ``rate_line``."""
    return line is not None and line.startswith("rate:")


def keeps_from_lanes(line: str | None) -> bool:
    """True where who stands in ``line`` is not on its way to a worker."""
    return line is not None and not is_rate(line)


def pull_line(task_type: str) -> str:
    """Where the tasks of a type wait for an external worker."""
    return f"pull:{task_type}"


def is_pull(line: str | None) -> bool:
    """True for lines of ``pull_line``."""
    return line is not None and line.startswith("pull:")


def shards_of(line: str) -> Sequence[str]:
    """The index partitions of a line."""
    return [f"{line}#{number}" for number in range(_count(line))]


def shard_of(line: str, number: int) -> str:
    """The partition of a line for a task that hashes to ``number``."""
    return f"{line}#{number % _count(line)}"


def rank(task: Task) -> str:
    """A task's place in a line, as a text that sorts: the highest priority first, then first come, first served.

    In the line of a rate the longest reserved first, which is what becomes void first.
    """
    if is_rate(task.line):
        return f"{task.reserved_on or 0:015}{task.reserved_at or 0:015}{task.id}"
    return f"{HIGHEST_PRIORITY - task.priority}{task.created_at:015}{task.id}"


def _count(line: str) -> int:
    return SHARDS.get(line.partition(":")[0], 1)
