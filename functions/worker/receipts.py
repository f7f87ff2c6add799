"""What Lambda received on this function's behalf: the receipts of a batch's messages, by which they can be changed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipts:
    """Receipt handles of messages of one lane."""

    lane: int
    handles: Sequence[str]

    @classmethod
    def of(cls, records: Sequence[Mapping[str, Any]], lane_urls: Mapping[int, str]) -> Self:
        """Those of an event's records (SQS event structure), which are all of one queue.

        None at all where that queue is no lane: such an event was made by hand, and nothing can be said to its queue.
        """
        queues = {record["eventSourceARN"].rpartition(":")[2] for record in records}
        lane = next((lane for lane, url in lane_urls.items() if {url.rpartition("/")[2]} == queues), None)
        if lane is None:
            return cls(lane=0, handles=())
        return cls(lane=lane, handles=[record["receiptHandle"] for record in records])

    def without(self, positions: Collection[int]) -> "Receipts":
        """Those of the other messages."""
        kept = [handle for position, handle in enumerate(self.handles) if position not in positions]
        return Receipts(lane=self.lane, handles=kept)
