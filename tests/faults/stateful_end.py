"""How an example of the stateful test ends: without faults, and with time, everything comes to its end."""

import sys
from functools import partial
from typing import Final

from tasklane.task import CallbackState
from tests.faults.stateful_held import Order
from tests.faults.stateful_lines import KEYS
from tests.faults.stateful_steps import Steps
from tests.faults.stateful_wishes import TARGETS

ROUNDS: Final = 300
"""How often everybody has a go at the end, before a task counts as stuck."""


class Ends(Steps):
    """Lets an installation come to rest, and looks at what is left."""

    lifts = True
    """In the end limits are removed, in a hurry; else they go on to hold, but for those that let nobody start."""

    def teardown(self) -> None:
        """Without faults, and with time, everything comes to its end."""
        try:
            if sys.exc_info()[0] is None:
                self._settle()
                self._check_the_end()
        finally:
            self.world.close()

    def _settle(self) -> None:
        self.world.set_lag(0)
        for number, one in enumerate(list(self.world.held)):
            while not one.ended:
                self.world.go_on(one, Order.DIE if number % 2 else Order.GO)
        for target in TARGETS:
            self.world.run(0, partial(self._resume, target, hurry=self.lifts))
        for key in KEYS:
            self._lift(key)
        for number in range(ROUNDS):
            self._work_through(number)
            self.nothing_is_wrong()
            if self._is_over():
                return
            self.world.wait(31)

    def _lift(self, key: str) -> None:
        there = self.world.control.limits([key]).get(key)
        if there is not None and self.lifts:
            self._set_limit(1, key, None, None, hurry=True)
        elif there is not None and there.limit.max_concurrent == 0:
            self._set_limit(2, key, 1, there.limit.rate)

    def _is_over(self) -> bool:
        pending = any(task.callback and task.callback.state is CallbackState.PENDING for task in self.tasks)
        return not pending and all(task.status.final for task in self.tasks)

    def _check_the_end(self) -> None:
        stuck = [task for task in self.tasks if task.due_at is not None or not task.status.final]
        assert not stuck, f"after {ROUNDS} rounds: {stuck}"
        assert self.model.accepted <= self.model.tasks.keys()
        given_up = {
            task.id for task in self.tasks if task.callback and task.callback.state is CallbackState.UNDELIVERED
        }
        listed: set[str] = set()
        self.world.pass_time(120)  # for the one who looks, what another's clock has noted may still be to come
        self.world.run(0, lambda process: listed.update(t.id for t in process.listing.undelivered(100).tasks))
        assert listed == given_up, f"{given_up} are undelivered, {listed} are listed"
        self._check_the_slots()

    def _check_the_slots(self) -> None:
        for key in KEYS:  # a limit tells what counts towards it, also from before it was set
            self._set_limit(0, key, 1, None)
        used = {key: state.in_use for key, state in self.world.control.limits(KEYS).items()}
        assert used == dict.fromkeys(KEYS, 0), f"slots are still counted: {used}"
