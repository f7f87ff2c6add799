"""What the stateful test does step by step, and what must be so after each step."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from hypothesis.stateful import RuleBasedStateMachine, invariant

from tasklane.dispatch import belongs_in_a_lane, callback_is_near
from tasklane.errors import IdempotencyConflict, InvalidRequest, LeaseLost, NotNow, TaskNotFound, Unavailable
from tasklane.ids import derived_task_id
from tasklane.lease import Failure, Holder
from tasklane.line import limit_line, pause_line
from tasklane.message import CallbackMessage, TaskMessage
from tasklane.ports import Delivery
from tasklane.submit import Submission
from tasklane.task import Progress, Task
from tasklane.throttle import Rate
from tests.faults.stateful_lines import KEYS
from tests.faults.stateful_ports import Trouble
from tests.faults.stateful_process import Process
from tests.faults.stateful_wishes import is_allowed
from tests.faults.stateful_world import CALLBACKS, World

ENOUGH: Final = 1000
"""More dead letters than there are."""


class Steps(RuleBasedStateMachine):
    """What the rules are made of."""

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

    @invariant()
    def nothing_is_wrong(self) -> None:
        assert not self.model.wrong, "\n".join(self.model.wrong)

    @invariant()
    def each_slot_is_held_by_a_run(self) -> None:
        for key, state in self.world.control.limits(KEYS).items():
            used = self.model.restraints.decided.used(key)
            assert state.in_use == used, f"{state.in_use} count towards {key}, {used} run"

    def _work_through(self, who: int) -> None:
        self.world.run(who, partial(self._sweep, alone=True))
        self._work_outside(who)
        for lane in self.world.arrived(*range(6)):
            self.world.run(who + lane, partial(self._receive_well, lane))

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

    def _sweep(self, process: Process, *, alone: bool) -> None:
        """``alone``: nothing goes wrong meanwhile, and nobody comes in between."""
        restraints = self.model.restraints
        before, sure = restraints.standing.everybody(), restraints.standing.sure()
        room = {key: restraints.decided.room(key) for key in KEYS}
        restraints.standing.begins_work()
        process.sweep(lambda: 60.0)
        if alone:
            restraints.standing.swept(before, sure, room)

    def _receive(
        self, lane: int, batch: Sequence[Delivery], process: Process, *, alone: bool, again: bool = False
    ) -> None:
        self.model.restraints.freed.clear()
        self.model.restraints.standing.begins_work()
        self.world.receive(process, lane, batch, again=again)
        if alone:
            self.model.restraints.standing.worked(self.model.restraints.freed)

    def _receive_well(self, lane: int, process: Process) -> None:
        """All that has arrived in a lane; callbacks are answered as their addresses say."""
        process.receiver.answers = ()
        self._receive(lane, self.world.take(lane, range(10)), process, alone=True)

    def _pause(self, target: str, process: Process) -> None:
        with suppress(Unavailable):
            process.pauses.pause(target)

    def _resume(self, target: str, process: Process, *, alone: bool = True, hurry: bool = False) -> None:
        """``hurry``: there is no time to let anybody go."""
        with suppress(Unavailable):
            process.pauses.resume(target, lambda: hurry)
            if alone and not hurry:
                self.model.restraints.standing.is_let_go(pause_line(target))

    def _set_limit(
        self, who: int, key: str, max_concurrent: int | None, rate: Rate | None, *, hurry: bool = False
    ) -> None:
        self.world.run(who, partial(self._limit, key, max_concurrent=max_concurrent, rate=rate, hurry=hurry))
        self.model.restraints.standing.owes(key)

    def _one_paused(self, target: str, number: int) -> str:
        """One that is paused, or this where nothing is."""
        paused = sorted(self.model.restraints.decided.paused) or [target]
        return paused[number % len(paused)]

    def _limit(
        self,
        key: str,
        process: Process,
        *,
        max_concurrent: int | None,
        rate: Rate | None,
        alone: bool = True,
        hurry: bool = False,
    ) -> None:
        """Neither of both: no limit."""
        with suppress(Unavailable):
            if max_concurrent is None and rate is None:
                process.limits.remove(key, lambda: hurry)
            else:
                process.limits.put(key, max_concurrent=max_concurrent, rate=rate, enough=lambda: hurry)
            if alone and not hurry and max_concurrent is None:
                self.model.restraints.standing.is_let_go(limit_line(key))

    def _redrive(self, lane: int, process: Process, *, reopen: bool, alone: bool) -> None:
        before = self.world.dead_letters(lane)
        redrive = process.redrive.callbacks if lane == CALLBACKS else partial(process.redrive.lane, lane, reopen=reopen)
        try:
            with suppress(Unavailable):
                redrive(limit=ENOUGH, remaining=lambda: 60.0)
        finally:
            left = self.world.dead_letters(lane)
            if alone:
                for body in (one for one in before if one not in left):
                    self._follows(lane, body, process.clock.now())

    def _follows(self, lane: int, body: str, now: int) -> None:
        """A dead letter was removed: then its task is on its way, or there is nothing to be sent."""
        if lane == CALLBACKS:
            letter = CallbackMessage.from_json(body)
            task = self.model.tasks.get(letter.task_id)
            if task is None or task.callback is None or letter.event or not callback_is_near(task, now):
                return
            sent = [CallbackMessage.from_json(one) for one in self.world.on_the_way(lane)]
            owed = letter.number == task.callback.tries + 1
            self.model.must(not owed or CallbackMessage.of(task).number in _numbers(sent, task), f"not sent: {task}")
        else:
            task = self.model.tasks.get(TaskMessage.from_json(body).task_id)
            if task is None or not belongs_in_a_lane(task, now) or (task.start_by is not None and task.start_by <= now):
                return
            messages = [TaskMessage.from_json(one) for one in self.world.on_the_way(task.priority)]
            announced = any(one.task_id == task.id and one.announces(task) for one in messages)
            self.model.must(announced, f"not sent: {task}")

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


def _numbers(messages: Sequence[CallbackMessage], task: Task) -> set[int]:
    return {one.number for one in messages if one.task_id == task.id and one.event is None}
