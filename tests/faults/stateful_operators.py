"""What people do to a whole installation: pauses, limits, dead letters."""

from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.faults.stateful_ports import Trouble
from tests.faults.stateful_steps import Steps
from tests.faults.stateful_wishes import holding, keys, limits, numbers, orders, other_limits, targets, troubles


class Operators(Steps):
    """Their rules."""

    @initialize(some=st.lists(st.tuples(keys, limits), max_size=2))
    def set_some_limits(self, some: list[tuple[str, dict[str, Any]]]) -> None:
        for key, limit in some:
            self._set_limit(0, key, **limit)

    @rule(who=numbers, key=keys, limit=other_limits, trouble=troubles, held=holding, hurry=st.booleans())
    def change_limit(
        self, who: int, key: str, limit: dict[str, Any], trouble: Trouble | None, *, held: bool, hurry: bool
    ) -> None:
        alone = trouble is None and not held
        self._do(who, partial(self._limit, key, **limit, alone=alone, hurry=hurry), trouble, held=held)
        if not held and (trouble is None or trouble.port not in ("limits", "notes")):
            self.model.restraints.standing.owes(key)

    @rule(who=numbers, what=targets, trouble=troubles, held=holding)
    def pause(self, who: int, what: str, trouble: Trouble | None, *, held: bool) -> None:
        self._do(who, partial(self._pause, what), trouble, held=held)

    @rule(who=numbers, what=targets, trouble=troubles, held=holding, hurry=st.booleans())
    def resume(self, who: int, what: str, trouble: Trouble | None, *, held: bool, hurry: bool) -> None:
        resume = partial(self._resume, self._one_paused(what, who), alone=trouble is None and not held, hurry=hurry)
        self._do(who, resume, trouble, held=held)

    @precondition(lambda self: self.world.arrived(*range(6)))
    @rule(lane=numbers, order=orders)
    def give_up_messages(self, lane: int, order: list[int]) -> None:
        """Some messages have been received too often."""
        lanes = self.world.arrived(*range(6))
        lane = lanes[lane % len(lanes)]
        self.world.give_up(lane, self.world.take(lane, order))

    @precondition(lambda self: self._dead())
    @rule(who=numbers, lane=numbers, reopen=st.booleans(), trouble=troubles, held=holding)
    def redrive(self, who: int, lane: int, trouble: Trouble | None, *, reopen: bool, held: bool) -> None:
        lane = self._dead()[lane % len(self._dead())]
        self._do(who, partial(self._redrive, lane, reopen=reopen, alone=not held), trouble, held=held)

    def _dead(self) -> list[int]:
        return [lane for lane in range(6) if self.world.dead_letters(lane)]
