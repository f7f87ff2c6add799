"""What carries messages: lanes, callback queue, and their dead-letter queues."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tasklane.errors import Unavailable
from tasklane.message import CallbackMessage, TaskMessage


class TaskQueue(Protocol):
    """Carries messages down the lanes."""

    def send(self, messages: Sequence[TaskMessage]) -> list[Unavailable | None]:
        """Send each down the lane of its priority, to arrive at its ``run_at`` (15 minutes off at most)."""

    def check(self) -> None:
        """Raises Unavailable if a lane does not answer."""


class CallbackQueue(Protocol):
    """Carries messages to the callback function."""

    def send(self, messages: Sequence[CallbackMessage]) -> list[Unavailable | None]:
        """Send each, to arrive at its ``send_at`` (15 minutes off at most)."""

    def check(self) -> None:
        """Raises Unavailable if the queue does not answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One received message: its body as it came, and the handle to acknowledge it by."""

    handle: str
    body: str
    message_id: str = ""


class MessageSource(Protocol):
    """Hands out messages where no event source mapping does: the poller's side of a queue."""

    def receive(self, lane: int, limit: int, wait_seconds: int) -> list[Delivery]:
        """At most ``limit`` messages of a lane (1 to 5; 0 is the callback queue); waits for the first.

        Raises Unavailable.
        """

    def acknowledge(self, lane: int, handles: Sequence[str]) -> None:
        """Forget these messages. One that could not be forgotten comes again. Raises Unavailable."""

    def extend(self, lane: int, handles: Sequence[str]) -> int:
        """Keep these messages from others for as long as if received now; for how many seconds. Raises Unavailable."""

    def release(self, lane: int, handles: Sequence[str], delay_seconds: int) -> None:
        """Let these messages be received again after a pause. Raises Unavailable."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Depth:
    """About how many messages a queue holds: those that may be received, those for later, those that somebody has.

    ``dead_letters`` counts what it gave up: all that lies in its dead-letter queue.
    """

    waiting: int
    delayed: int
    in_flight: int
    dead_letters: int


class QueueDepths(Protocol):
    """Knows how full the queues are."""

    def depths(self, lanes: Sequence[int]) -> list[Depth]:
        """One entry per lane (1 to 5; 0 is the callback queue), right within a minute or so. Raises Unavailable."""
