"""The stateful test's machine: what may happen to an installation, and in any order, while a model watches."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tasklane.errors import IdempotencyConflict, InvalidRequest, LeaseLost, NotNow, TaskNotFound, Unavailable
from tasklane.ids import derived_task_id
from tasklane.lease import Failure, Holder
from tasklane.ports import Delivery
from tasklane.submit import Submission
from tasklane.task import CallbackState, Progress, Status, Task
from tests.faults.stateful_held import Order
from tests.faults.stateful_ports import Trouble
from tests.faults.stateful_wishes import (
    JUMPS,
    a_submission,
    actions,
    answers,
    changes,
    holding,
    is_allowed,
    numbers,
    orders,
    orders_to_held,
    outside_words,
    troubles,
    wishes,
)
from tests.faults.stateful_world import CALLBACKS, PROCESSES, Process, World

MOST_TASKS: Final = 8
ROUNDS: Final = 300
"""How often everybody has a go at the end, before a task counts as stuck."""


class Tasklane(RuleBasedStateMachine):
    """What may happen to an installation, while the model watches."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.model = self.world.model
        self.asked: dict[str, Submission] = {}
        self.outside: list[Task] = []
        """Leases of external workers, also such as have ended."""

    @property
    def tasks(self) -> list[Task]:
        return list(self.model.tasks.values())

    # -- callers -------------------------------------------------------------------------------------------------------

    @initialize(several=st.lists(wishes, min_size=1, max_size=4))
    def submit_some(self, several: list[dict[str, Any]]) -> None:
        for wish in several:
            self.submit(0, wish, None, held=False)

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
        self._do(who, lambda process: self.world.receive(process, lane, batch, again=again), trouble, held=held)

    @rule(
        who=numbers,
        what=st.sampled_from(["a run", "a run", "a sweep", "a callback"]),
        wish=wishes,
        answer=answers,
        steps=st.integers(0, 2),
        meanwhile=st.lists(actions | st.just("work"), max_size=3),
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
        self._do(who, lambda process: process.sweep(lambda: 60.0), trouble, held=held)

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

    @rule(seconds=st.none() | st.sampled_from(JUMPS), who=numbers, skew_seconds=st.none() | st.integers(-30, 30))
    def pass_time(self, seconds: int | None, who: int, skew_seconds: int | None) -> None:
        """Time jumps (None: to where something is to happen), and a clock is set."""
        if skew_seconds is not None:
            self.world.clocks[who % PROCESSES].skew_seconds = skew_seconds
        if seconds is None:
            self.world.wait(who)
        else:
            self.world.pass_time(seconds)

    # -- what must hold ------------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_wrong(self) -> None:
        assert not self.model.wrong, "\n".join(self.model.wrong)

    def teardown(self) -> None:
        """Without faults, and with time, everything comes to its end."""
        try:
            if sys.exc_info()[0] is None:
                self._settle()
                self._check_the_end()
        finally:
            self.world.close()

    def _settle(self) -> None:
        for number, one in enumerate(list(self.world.held)):
            while not one.ended:
                self.world.go_on(one, Order.DIE if number % 2 else Order.GO)
        for number in range(ROUNDS):
            self._work_through(number)
            self.nothing_is_wrong()
            if self._is_over():
                return
            self.world.wait(31)

    def _work_through(self, who: int) -> None:
        self.world.run(who, lambda process: process.sweep(lambda: 60.0))
        self._work_outside(who)
        for lane in self.world.arrived(*range(6)):
            self.world.run(who + lane, partial(self._receive, lane, self.world.take(lane, range(10))))

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

    # -- steps ---------------------------------------------------------------------------------------------------------

    def _do(
        self,
        who: int,
        call: Callable[[Process], object],
        trouble: Trouble | None,
        *,
        held: bool = False,
    ) -> None:
        with self.world.faults.of(trouble):
            if held:
                self.world.hold(who, call)
            else:
                self.world.run(who, call)

    def _submit(self, wish: Submission, process: Process) -> None:
        try:
            task = process.submit(wish).task
        except IdempotencyConflict:
            earlier = self.model.tasks[derived_task_id(wish.caller, wish.idempotency_key or "")]
            self.model.must(earlier.request_hash != wish.request_hash, f"{wish} does not conflict with {earlier}")
        except (Unavailable, InvalidRequest):
            pass
        else:
            kept = self.model.tasks.get(task.id)
            self.model.must(kept and kept.request_hash == wish.request_hash, f"{wish} was answered with {task}")
            self.model.accepted.add(task.id)

    def _change(self, before: Task, action: str, wish: Mapping[str, Any], process: Process, *, alone: bool) -> None:
        allowed = not alone or is_allowed(before, action)
        try:
            after = getattr(process.manage, action)(before.id, **wish)
        except NotNow:
            self.model.must(not alone or not allowed, f"{action} was refused to {before}")
        except (Unavailable, TaskNotFound, InvalidRequest):
            pass
        else:
            self.model.must(allowed, f"{action} was allowed to {before}")
            self.model.must(not alone or self.model.tasks[after.id] == after, f"{action} did not make {after}")

    def _fetch(self, seconds: int, process: Process) -> None:
        with suppress(Unavailable):
            self.outside += process.fetch((), 2, seconds)

    def _hear(self, lease: Task, said: str, process: Process) -> None:
        holder = Holder.of(lease)
        with suppress(Unavailable, LeaseLost, TaskNotFound):
            match said:
                case "complete":
                    process.leases.complete(lease.id, holder, {"token": holder.token})
                case "fail":
                    process.leases.fail(lease.id, holder, Failure(type="E", message=""))
                case _:
                    progress = Progress(fraction=0.5, message=str(self.world.clock.now()))
                    process.leases.heartbeat(lease.id, holder, lease_seconds=60, progress=progress)

    def _work_outside(self, who: int) -> None:
        """Everything that waits for external workers is fetched and done."""
        before = len(self.outside)
        self.world.run(who, partial(self._fetch, 60))
        for lease in self.outside[before:]:
            self.world.run(who, partial(self._hear, lease, "complete"))

    def _lanes(self) -> list[int]:
        return self.world.arrived(1, 2, 3, 4, 5)

    def _receive(self, lane: int, batch: Sequence[Delivery], process: Process) -> None:
        process.receiver.answers = ()
        self.world.receive(process, lane, batch)

    def _wait_for_one(self, lanes: Sequence[int]) -> str | None:
        """Wait for the next message of these lanes, or the next task to fall due; the id of its task."""
        if lanes:
            if self.world.next_arrival(*lanes) is None:
                self.world.wait(31)
                self.world.run(0, lambda process: process.sweep(lambda: 60.0))
            if (arrival := self.world.next_arrival(*lanes)) is None:
                return None
            self.world.wait_until(arrival)
            return self.world.first(self.world.arrived(*lanes)[0])
        due = [(task.due_at, task.id) for task in self.tasks if task.due_at is not None]
        if not due:
            return None
        self.world.wait_until(min(due)[0] + 40_000)
        return min(due)[1]
