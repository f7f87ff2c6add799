"""An index that is spread over shards, read as if it were one."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeAlias

Entry: TypeAlias = tuple[int, str]
"""A task's place in an index: its time there (Unix milliseconds), and its id."""

PAGE: Final = 100
"""Entries read per shard at once."""
MAX_PAGE: Final = 6_400
"""Entries of one moment in one shard up to which the order holds: what one answer of the table carries (1 MB)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Index:
    """An index by time. ``read`` gives a shard's entries from a time on, at most so many: backwards if ``newest``."""

    shards: Sequence[str]
    read: Callable[[str, int, int], Sequence[Entry]]
    newest: bool

    def following(self, start: Entry | int, page: int = PAGE) -> tuple[list[Entry], bool]:
        """The next entries behind ``start`` (a time: from it on), and whether there may be more behind them.

        ``page`` is how many are read per shard. No entries, and more: never. Raises Unavailable.
        """
        with ThreadPoolExecutor(max_workers=8, thread_name_prefix="shards") as pool:
            while True:
                at = start if isinstance(start, int) else start[0]
                pages = list(pool.map(lambda shard: self.read(shard, at, page), self.shards))  # noqa: B023 - used at once
                entries = sorted((one for found in pages for one in found), reverse=self.newest)
                wanted = [one for one in entries if isinstance(start, int) or self._is_before(start, one)]
                # At and behind the last moment of a full page there may be more than it has.
                ends = [found[-1][0] for found in pages if len(found) == page]
                if not ends:
                    return wanted, False
                end = max(ends) if self.newest else min(ends)
                certain = [one for one in wanted if (one[0] > end if self.newest else one[0] < end)]
                if certain or page >= MAX_PAGE:
                    return certain or wanted, True
                page *= 4

    def _is_before(self, one: Entry, other: Entry) -> bool:
        return one > other if self.newest else one < other
