"""What the proxy breaks: a plan answers, for the n-th request of an operation, with the fault it is to meet."""

import random
from collections.abc import Callable
from enum import StrEnum
from typing import Final, TypeAlias

DELAY_SECONDS: Final = 0.15


class Fault(StrEnum):
    """A way in which a request is broken."""

    REFUSE = "refused"
    """The connection is closed; the engine never sees the request."""
    DELAY = "delayed"
    """The answer comes late."""
    DROP = "answer dropped"
    """The engine acts, and the connection is closed without an answer."""
    IGNORE = "ignored"
    """The connection stays open until the client has waited long enough; the engine never sees the request."""
    WITHHOLD = "answer withheld"
    """The engine acts, and the client has waited long enough before it has the answer: its read timeout passes."""
    ERROR = "answered 500"
    """The engine never sees the request."""
    THROTTLE = "throttled"
    """Answered with the service's own throttling error; the engine never sees the request."""
    PARTIAL = "partly refused"
    """Some entries of a batch are refused inside a 200; half of those were taken all the same."""
    DOUBLE = "done twice"
    """The engine gets the request twice."""
    REPEAT = "repeated and reordered"
    """Received messages come doubled and in another order."""
    KILL_BEFORE = "killed before"
    """The process that asks is killed; the engine never sees the request."""
    KILL_AFTER = "killed after"
    """The engine acts, and the process that asked is killed before it has the answer."""


Plan: TypeAlias = Callable[[str, int], Fault | None]
"""From an operation's name and how many of it came before to its fault; None lets it pass."""

_ANY: Final = (Fault.REFUSE, Fault.DELAY, Fault.DROP, Fault.ERROR, Fault.THROTTLE)
WAITED_FOR: Final = (Fault.IGNORE, Fault.WITHHOLD)
"""Each takes a client's whole patience."""
_OWN: Final = {
    "SendMessage": (Fault.DOUBLE,),
    "SendMessageBatch": (Fault.DOUBLE, Fault.PARTIAL),
    "BatchExecuteStatement": (Fault.PARTIAL,),
    "DeleteMessageBatch": (Fault.PARTIAL,),
    "ReceiveMessage": (Fault.REPEAT,),
}


def no_faults(_operation: str, _number: int) -> Fault | None:
    """Everything passes."""
    return None


def seeded(seed: int, rate: float, waited_for: float = 0.0) -> Plan:
    """Break this part of the requests of every operation, in every way that it can be broken.

    ``waited_for`` is the part of those broken ones that take their client's whole patience.
    """

    def plan(operation: str, number: int) -> Fault | None:
        dice = random_for(seed, operation, number)
        fault = dice.choice(_ANY + _OWN.get(operation, ())) if dice.random() < rate else None
        return dice.choice(WAITED_FOR) if fault and dice.random() < waited_for else fault

    return plan


def always(fault: Fault, *operations: str) -> Plan:
    """Break every request of these operations in this way."""
    return lambda operation, _number: fault if operation in operations else None


def nth(fault: Fault, wanted: str, position: int = 0) -> Plan:
    """Break one request of an operation in this way: the first, or the one at ``position``."""
    return lambda operation, number: fault if (operation, number) == (wanted, position) else None


def random_for(seed: int, operation: str, number: int) -> random.Random:
    """Dice that fall the same way for the same request."""
    return random.Random(f"{seed} {operation} {number}")
