"""The thousand tasks of the storm: what each is asked to do, what happens to it on the way, and how it must end."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Any, Final

from tasklane.submit import Submission
from tasklane.task import Status
from tests.faults.storm_types import GATE, PACE

LATE_MS: Final = 120_000
"""How long those that are to expire have to begin, from their submission."""
FAR_OFF_SECONDS: Final = 3000
ENOUGH: Final = 50
"""Attempts that no task uses up, however many of them are lost."""
PAUSED_LANE: Final = 2
METADATA: Final = "http://169.254.169.254/latest/meta-data/"


class Kind(StrEnum):
    """What a task is there for."""

    PLAIN = auto()
    """Plain and async, failing first, delayed, large: they complete."""
    PACED = auto()
    """All of one key, by whose rate they start."""
    GATED = auto()
    """All of one key, of which few run at once."""
    STAGED = auto()
    """Goes on in new runs, with its state."""
    OUTSIDE = auto()
    """Done by external workers, some of which are never heard of again."""
    BROUGHT_FORWARD = auto()
    """Far off, until somebody sets another start and another lane."""
    RETRIED = auto()
    """Fails for good, and is then retried by hand."""
    UNREACHABLE = auto()
    """Its callback goes to an address that nobody may reach."""
    FAILING = auto()
    """Fails in each of its attempts."""
    OVERRUNNING = auto()
    """Never ends by itself."""
    FORBIDDEN = auto()
    """Fetches from an address that nobody may reach."""
    LATE = auto()
    """Of a type that is paused until it has expired."""
    CALLED_OFF = auto()
    """Cancelled while it waits."""
    INTERRUPTED = auto()
    """Cancelled while it runs."""


COUNTS: Final[Mapping[Kind, int]] = {
    Kind.PACED: 40,  # the first, and together: so their rate holds them up
    Kind.PLAIN: 450,
    Kind.GATED: 60,
    Kind.STAGED: 60,
    Kind.OUTSIDE: 60,
    Kind.BROUGHT_FORWARD: 50,
    Kind.RETRIED: 50,
    Kind.UNREACHABLE: 10,
    Kind.FAILING: 60,
    Kind.OVERRUNNING: 30,
    Kind.FORBIDDEN: 10,
    Kind.LATE: 40,
    Kind.CALLED_OFF: 50,
    Kind.INTERRUPTED: 30,
}
OWN: Final[Mapping[Kind, Mapping[str, Any]]] = {
    Kind.PACED: {"type": "paced", "throttle_keys": (PACE,), "priority": 5},
    Kind.GATED: {"type": "gated", "throttle_keys": (GATE,)},
    Kind.STAGED: {"type": "stages"},
    Kind.OUTSIDE: {"type": "outside", "external": True},
    Kind.BROUGHT_FORWARD: {"delay_seconds": FAR_OFF_SECONDS, "priority": 1},
    Kind.CALLED_OFF: {"delay_seconds": FAR_OFF_SECONDS},
    Kind.RETRIED: {"payload": {"fail": 1}, "max_attempts": 1},
    Kind.OVERRUNNING: {"type": "overruns", "max_attempts": 2},
    Kind.LATE: {"type": "late"},
    Kind.INTERRUPTED: {"type": "patient"},
}
"""What their kind makes of these, where it is the same for all."""
ENDS: Final = {
    Kind.FAILING: Status.FAILED,
    Kind.OVERRUNNING: Status.FAILED,
    Kind.FORBIDDEN: Status.FAILED,
    Kind.LATE: Status.EXPIRED,
    Kind.CALLED_OFF: Status.CANCELLED,
    Kind.INTERRUPTED: Status.CANCELLED,
}
"""How those end that do not complete."""
ERRORS: Final = {
    Kind.FAILING: "OSError",
    Kind.OVERRUNNING: "AttemptTimedOut",
    Kind.FORBIDDEN: "AddressRefused",
}
"""Why those failed; or their last attempt was lost with its worker."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A task to be submitted."""

    number: int
    kind: Kind
    submission: Submission

    @property
    def end(self) -> Status:
        return ENDS.get(self.kind, Status.COMPLETED)

    @property
    def must_call_back(self) -> int | None:
        """What its receiver answers for ever, whether it is told or not; None: 204 in the end."""
        return 410 if self.number % 50 == 7 else None


def wishes(seed: int, receiver: str, forbidden: list[str]) -> list[Wish]:
    """All of them; ``forbidden`` are the addresses that nobody may reach."""
    dice = random.Random(seed)
    kinds = [kind for kind, count in COUNTS.items() for _ in range(count)]
    rest = kinds[COUNTS[Kind.PACED] :]
    dice.shuffle(rest)
    kinds[COUNTS[Kind.PACED] :] = rest
    return [_wish(number, kind, dice, receiver, forbidden) for number, kind in enumerate(kinds)]


def _wish(number: int, kind: Kind, dice: random.Random, receiver: str, forbidden: list[str]) -> Wish:
    payload: dict[str, Any] = {"number": number, "pad": "x" * dice.choice((0, 0, 0, 6000))}
    usual: dict[str, Any] = {
        "priority": dice.randint(1, 5),
        "tenant": dice.choice(("default", "red", "green", "blue")),
        "max_attempts": ENOUGH,
        "callback_url": receiver,
        "idempotency_key": f"storm-{number}",
    }
    own = _own(kind, dice, forbidden[number % len(forbidden)])
    payload |= own.pop("payload", {})
    submission = Submission(**{"type": "work", "payload": payload} | usual | own)
    return Wish(number=number, kind=kind, submission=submission)


def _own(kind: Kind, dice: random.Random, forbidden: str) -> dict[str, Any]:
    match kind:
        case Kind.PLAIN:
            return {
                "type": dice.choice(("work", "async-work")),
                "payload": {"fail": dice.choice((0, 0, 0, 1))},
                "delay_seconds": dice.choice((None, None, None, 1, 3, 1200)),
            }
        case Kind.UNREACHABLE:
            return {"callback_url": forbidden}
        case Kind.FORBIDDEN:
            return {"type": "fetches", "payload": {"url": dice.choice((forbidden, METADATA))}, "max_attempts": 2}
        case Kind.FAILING:
            return {"payload": {"fail": ENOUGH}, "max_attempts": dice.choice((1, 2, 3))}
    return dict(OWN[kind])


def refusals() -> list[Submission]:
    """What must be refused, and leave nothing behind."""
    return [
        Submission(type="work", payload={"number": "many"}),
        Submission(type="work", payload={}),
        Submission(type="no-such", payload={}),
        Submission(type="work", payload={"number": 1}, callback_url=METADATA),
        Submission(type="work", payload={"number": 1}, callback_url="http://0.0.0.0:80/"),
        Submission(type="work", payload={"number": 1}, delay_seconds=400 * 86_400),
        Submission(type="work", payload={"number": 1}, expires_at=1),
        Submission(type="outside", payload={}, external=True, throttle_keys=(GATE,)),
        Submission(type="work", payload={"number": 1, "pad": "x" * 6_000_000}),
        Submission(type="work", payload={"number": float("nan")}),
    ]
