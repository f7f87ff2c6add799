"""The stateful test's machine: what may happen to an installation, and in any order, while a model watches."""

from functools import partial
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tasklane.message import TaskMessage
from tasklane.task import Status
from tasklane.throttle import Rate
from tests.faults.stateful_end import Ends
from tests.faults.stateful_held import Order
from tests.faults.stateful_lines import KEYS
from tests.faults.stateful_operators import Operators
from tests.faults.stateful_ports import Trouble
from tests.faults.stateful_process import Process
from tests.faults.stateful_wishes import (
    JUMPS,
    TARGETS,
    a_submission,
    actions,
    answers,
    changes,
    happenings,
    holding,
    is_allowed,
    keys,
    limits,
    numbers,
    orders,
    orders_to_held,
    other_limits,
    outside_words,
    rates,
    to_start_now,
    troubles,
    wishes,
)
from tests.faults.stateful_world import CALLBACKS, PROCESSES

MOST_TASKS: Final = 8


class Tasklane(Operators, Ends):
    """What may happen to an installation, while the model watches."""

    # -- callers -------------------------------------------------------------------------------------------------------

    @initialize(several=st.lists(wishes, min_size=1, max_size=4), lifts=st.booleans())
    def submit_some(self, several: list[dict[str, Any]], *, lifts: bool) -> None:
        self.lifts = lifts
        for wish in several:
            self.submit(0, wish, None, held=False)

    @initialize(rates=st.none() | st.tuples(rates, rates), several=st.lists(wishes, min_size=2, max_size=4))
    def submit_some_with_two_rates(self, rates: tuple[Rate, Rate] | None, several: list[dict[str, Any]]) -> None:
        for key, rate in zip(KEYS, rates or (), strict=False):
            self._set_limit(0, key, max_concurrent=None, rate=rate)
        for wish in several if rates else ():
            self.submit(0, {**to_start_now(wish, KEYS[0]), "throttle_keys": KEYS}, None, held=False)

    @precondition(lambda self: len(self.tasks) < MOST_TASKS)
    @rule(who=numbers, wish=wishes, trouble=troubles, held=holding)
    def submit(self, who: int, wish: dict[str, Any], trouble: Trouble | None, *, held: bool) -> None:
        submission = a_submission(wish, self.world.clocks[who % PROCESSES].now(), self.asked)
        self._do(who, partial(self._submit, submission), trouble, held=held)

    @precondition(lambda self: self.tasks)
    @rule(who=numbers, which=numbers, action=actions, wish=changes, trouble=troubles, held=holding)
    def by_hand(
        self, who: int, which: int, action: str, wish: dict[str, Any], trouble: Trouble | None, *, held: bool
    ) -> None:
        # Mostly what matters: what is allowed, and of that what is being worked on just now.
        allowed = [task for task in self.tasks if is_allowed(task, action)]
        running = [task for task in allowed if task.status is Status.RUNNING]
        tasks = (running if which % 2 else allowed) or allowed or self.tasks
        tasks = tasks if which < 20 else self.tasks
        now = self.world.clocks[who % PROCESSES].now()
        more = {"run_at": now + wish["delay"] * 1000, "priority": wish["priority"]} if action == "reschedule" else {}
        self._do(
            who, partial(self._change, tasks[which % len(tasks)], action, more, alone=not held), trouble, held=held
        )

    # -- the installation ----------------------------------------------------------------------------------------------

    @precondition(lambda self: self._lanes())
    @rule(who=numbers, lane=numbers, order=orders, again=st.booleans(), trouble=troubles, held=holding)
    def work(self, who: int, lane: int, order: list[int], trouble: Trouble | None, *, again: bool, held: bool) -> None:
        lane = self._lanes()[lane % len(self._lanes())]
        batch = self.world.take(lane, order[:1] if held else order)
        alone = trouble is None and not held
        self._do(who, partial(self._receive, lane, batch, again=again, alone=alone), trouble, held=held)

    @rule(
        who=numbers,
        what=st.sampled_from(["a run", "a run", "a sweep", "a callback"]),
        wish=wishes,
        answer=answers,
        steps=st.sampled_from([0, 1, 2, 2]),
        meanwhile=st.lists(actions | st.sampled_from(["cancel", "work"]), max_size=3),
        then=orders_to_held,
    )
    def overtake(
        self,
        who: int,
        what: str,
        wish: dict[str, Any],
        answer: int,
        steps: int,
        meanwhile: list[str],
        then: list[Order],
    ) -> None:
        """While a process is in the midst of a task, others are at the same one."""
        lanes = {"a run": (1, 2, 3, 4, 5), "a callback": (CALLBACKS,)}.get(what, ())
        if what == "a run" and self.world.next_arrival(*lanes) is None and len(self.tasks) < MOST_TASKS:
            self.submit(who, wish, None, held=False)
        if (task_id := self._wait_for_one(lanes)) is None:
            return

        def call(process: Process) -> None:
            process.receiver.answers = [answer]
            if lanes:
                (lane, *_) = self.world.arrived(*lanes)
                self.world.receive(process, lane, self.world.take(lane, [0]))
            else:
                process.sweep(lambda: 60.0)

        held = self.world.hold(who, call)
        for _ in range(steps):
            self.world.go_on(held, Order.GO)
        for one in meanwhile:
            if one == "work":
                self.world.wait(31)
                self._work_through(who + 1)
            else:
                self.world.run(who + 2, partial(self._change, self.model.tasks[task_id], one, {}, alone=True))
        for order in then:
            self.world.go_on(held, order)

    @precondition(lambda self: len(self.tasks) < MOST_TASKS)
    @rule(
        who=numbers,
        key=keys,
        limit=limits,
        several=st.lists(wishes, min_size=2, max_size=4),
        steps=st.integers(0, 3),
        meanwhile=st.lists(st.tuples(happenings, other_limits), max_size=5),
        then=orders_to_held,
    )
    def crowd(
        self,
        who: int,
        key: str,
        limit: dict[str, Any],
        several: list[dict[str, Any]],
        steps: int,
        meanwhile: list[tuple[str, dict[str, Any]]],
        then: list[Order],
    ) -> None:
        """Several want to start at once, and what they have in common is limited; one of them is held on its way."""
        self._set_limit(who, key, **limit)
        self.world.pass_time(6)  # everybody has heard of it
        for wish in several:
            self.submit(who, to_start_now(wish, key), None, held=False)
        if not self._lanes():
            return
        batch = self.world.take(self._lanes()[0], [0])
        lane = TaskMessage.from_json(batch[0].body).priority
        held = self.world.hold(who + 1, lambda process: self.world.receive(process, lane, batch))
        for _ in range(steps):
            self.world.go_on(held, Order.GO)
        for happening, other in meanwhile:
            self._happens(happening, who + 2, key, other)
        for order in then:
            self.world.go_on(held, order)

    def _happens(self, what: str, who: int, key: str, limit: dict[str, Any]) -> None:
        match what:
            case "work":
                self._work_through(who)
            case "work twice":
                for lane in self._lanes():
                    again = partial(self._receive, lane, self.world.take(lane, range(10)), again=True, alone=True)
                    self.world.run(who, again)
            case "wait":
                self.world.wait(1)
            case "lose":
                self.world.pass_time(100)
            case "limit":
                self._set_limit(who, key, **limit)
            case "pause":
                self.world.run(who, partial(self._pause, TARGETS[who % len(TARGETS)]))
            case _:
                self.world.run(who, partial(self._resume, self._one_paused(TARGETS[0], who)))

    @rule(who=numbers, seconds=st.sampled_from([5, 60, 2000]), trouble=troubles, held=holding)
    def fetch(self, who: int, seconds: int, trouble: Trouble | None, *, held: bool) -> None:
        self._do(who, partial(self._fetch, seconds), trouble, held=held)

    @precondition(lambda self: self.outside)
    @rule(who=numbers, which=numbers, said=outside_words, trouble=troubles, held=holding)
    def hear_from_outside(self, who: int, which: int, said: str, trouble: Trouble | None, *, held: bool) -> None:
        """An external worker speaks, in time or late, and maybe for the second time."""
        lease = self.outside[-1 - which % len(self.outside)]
        self._do(who, partial(self._hear, lease, said), trouble, held=held)

    @precondition(lambda self: self.world.arrived(CALLBACKS))
    @rule(
        who=numbers,
        order=orders,
        answers=st.lists(answers, min_size=1, max_size=3),
        again=st.booleans(),
        trouble=troubles,
        held=holding,
    )
    def call_back(
        self, who: int, order: list[int], answers: list[int], trouble: Trouble | None, *, again: bool, held: bool
    ) -> None:
        batch = self.world.take(CALLBACKS, order[:1] if held else order)

        def call(process: Process) -> None:
            process.receiver.answers = answers
            self.world.receive(process, CALLBACKS, batch, again=again)

        self._do(who, call, trouble, held=held)

    @precondition(lambda self: self.tasks)
    @rule(who=numbers, trouble=troubles, held=holding)
    def sweep(self, who: int, trouble: Trouble | None, *, held: bool) -> None:
        self._do(who, partial(self._sweep, alone=trouble is None and not held), trouble, held=held)

    @precondition(lambda self: self.world.held)
    @rule(which=numbers, told=orders_to_held, trouble=troubles)
    def go_on(self, which: int, told: list[Order], trouble: Trouble | None) -> None:
        held = self.world.held[which % len(self.world.held)]
        with self.world.faults.of(trouble):
            for order in told:
                self.world.go_on(held, order)

    @precondition(lambda self: self.world.arrived(*range(6)))
    @rule(lane=numbers, order=orders)
    def lose_messages(self, lane: int, order: list[int]) -> None:
        lanes = self.world.arrived(*range(6))
        lane = lanes[lane % len(lanes)]
        self.world.queues.acknowledge(lane, [one.handle for one in self.world.take(lane, order)])

    @rule(who=numbers, rounds=st.integers(1, 5))
    def work_on(self, who: int, rounds: int) -> None:
        """Nothing goes wrong for a while."""
        for number in range(rounds):
            self.world.wait(number)
            self._work_through(who + number)

    # -- time ----------------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0, 0, 0.5, 2, 30]))
    def lag(self, seconds: float) -> None:
        """The indexes show what was so many seconds ago."""
        self.world.set_lag(seconds)

    @rule(seconds=st.none() | st.sampled_from(JUMPS), who=numbers, skew_seconds=st.none() | st.integers(-30, 30))
    def pass_time(self, seconds: int | None, who: int, skew_seconds: int | None) -> None:
        """Time jumps (None: to where something is to happen), and a clock is set."""
        if skew_seconds is not None:
            self.world.set_clock(who, skew_seconds)
        if seconds is None:
            self.world.wait(who)
        else:
            self.world.pass_time(seconds)
