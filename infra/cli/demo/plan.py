"""Which tasks the demo submits: random ones, of task types whose payloads are known here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infra.cli.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from random import Random

LANES = (5, 4, 3, 2, 1)
NAMES = ("Ada", "Barbara", "Edsger", "Grace", "Tony")

MAKERS: Mapping[str, tuple[int, Callable[[Random], dict[str, Any]]]] = {
    "FibonacciTask": (4, lambda random: {"n": random.randint(0, 100)}),
    "CountPrimes": (4, lambda random: {"n": random.randint(0, 5_000_000)}),
    "CollatzTask": (4, lambda random: {"n": random.randint(1, 10_000_000)}),
    "greeting": (2, lambda random: {"name": random.choice(NAMES)}),
    "non_blocking_long_running_task": (1, lambda random: {"duration": round(random.uniform(0.1, 0.5), 2)}),
    "simulated_job": (
        1,
        lambda random: {"name": "a demonstration", "parameters": {"steps": random.randint(1, 4), "step_seconds": 0.1}},
    ),
}
"""How often a task type comes, compared with the others, and what makes its payload."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A task that is to be submitted."""

    type: str
    payload: dict[str, Any]
    priority: int

    def body(self, label: str) -> dict[str, Any]:
        """What is posted; ``label`` names this demonstration."""
        return {
            "type": self.type,
            "payload": self.payload,
            "priority": self.priority,
            "tenant": "demo",
            "labels": {"demo": label},
        }


def plan(known: Collection[str], count: int, random: Random) -> list[Planned]:
    """Give so many tasks of the types that the API knows. Raises CommandError if it knows none of these here."""
    types = [name for name in MAKERS if name in known]
    if not types:
        raise CommandError(f"This API has none of the task types of the demo: {', '.join(MAKERS)}.")
    chosen = random.choices(types, [MAKERS[name][0] for name in types], k=count)
    return [Planned(type=name, payload=MAKERS[name][1](random), priority=random.choice(LANES)) for name in chosen]
