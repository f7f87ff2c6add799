"""A received batch of message bodies, run through a use case. Entry points and the poller share it."""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from tasklane.message import CallbackMessage, InvalidMessage, TaskMessage

logger = logging.getLogger(__name__)

_Message = TypeVar("_Message", TaskMessage, CallbackMessage)
_Report = TypeVar("_Report", bound="Report")


class Report(Protocol):
    """What a use case says of a batch."""

    @property
    def unhandled(self) -> frozenset[int]:
        """The positions of messages that must come again."""


def run_batch(
    bodies: Sequence[str],
    message_type: type[_Message],
    use_case: Callable[[Sequence[_Message], Callable[[], float]], _Report],
    remaining: Callable[[], float],
) -> tuple[frozenset[int], _Report]:
    """Run ``use_case`` on the messages in ``bodies``; the positions of bodies to receive again, and its report.

    A body that is no message is one of them: it is received again until it ends in the dead-letter queue, where an
    alarm tells of it. ``remaining`` tells the seconds this process still has.
    """
    messages: dict[int, _Message] = {}
    poison: set[int] = set()
    for position, body in enumerate(bodies):
        try:
            messages[position] = message_type.from_json(body)
        except InvalidMessage as exc:
            extra = {"action": "poison_message", "error": str(exc), "body": body[:200]}
            logger.error("A message was not written by Tasklane.", extra=extra)  # noqa: TRY400 - nothing to trace
            poison.add(position)
    report = use_case(list(messages.values()), remaining)
    positions = list(messages)
    return frozenset(poison) | {positions[i] for i in report.unhandled}, report
