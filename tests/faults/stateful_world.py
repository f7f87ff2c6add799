"""An installation for the stateful test: processes with clocks of their own over one store, one set of queues."""

import json
from collections.abc import Callable, Sequence
from typing import Final

from tasklane import document
from tasklane.adapters.memory import ManualClock
from tasklane.batch import run_batch
from tasklane.message import CallbackMessage, TaskMessage
from tasklane.ports import BlobStore, Clock, ControlStore, Delivery, TaskStore
from tests.faults.lagging import LaggingTaskStore
from tests.faults.stateful_handlers import task_types
from tests.faults.stateful_held import Crash, Held, Order
from tests.faults.stateful_model import Model
from tests.faults.stateful_ports import Faults, FaultyStore
from tests.faults.stateful_process import TIMING, Process, SkewedClock
from tests.faults.stateful_queues import Queues
from tests.support.builders import NOW

CALLBACKS: Final = 0
PROCESSES: Final = 4


class World:
    """Everything there is. ``store``, ``control``, ``blobs`` and the queues are the adapters under test."""

    def __init__(
        self,
        store: TaskStore,
        control: ControlStore,
        blobs: BlobStore,
        make_queues: Callable[[Clock], Queues] = Queues,
    ) -> None:
        self.clock = ManualClock(NOW)
        self.faults = Faults()
        self.model = Model(lambda kept: document.read(kept, blobs), TIMING, self.clock)
        self.model.restraints.standing.monotonic = self.monotonic
        self.store = FaultyStore(store, self.faults, self.model)
        self._indexes = store if isinstance(store, LaggingTaskStore) else None
        if self._indexes is not None:
            self._indexes.monotonic = self.monotonic
        self.blobs = blobs
        self.queues = make_queues(self.clock)
        self.dead = make_queues(self.clock)
        """Their dead-letter queues."""
        self.control = control
        self.registry = task_types(self.model)
        self.clocks = [SkewedClock(self.clock, self.model) for _ in range(PROCESSES)]
        self.held: list[Held] = []
        self._processes = [Process(self, number) for number in range(PROCESSES)]
        self._gone: list[Process] = []
        self._passed = 0.0

    def run(self, number: int, call: Callable[[Process], object]) -> None:
        """Let a process do something; where it dies of it, another one takes its place."""
        process = self._processes[number % PROCESSES]
        try:
            call(process)
        except Crash:
            self._gone.append(process)
            self._processes[number % PROCESSES] = Process(self, process.number)

    def hold(self, number: int, call: Callable[[Process], object]) -> Held:
        """Let a process do something step by step, while others do what they do; it waits before its first write."""
        held = Held()
        process = Process(self, number % PROCESSES, held)
        self._gone.append(process)
        self.held.append(held)
        held.start(lambda: call(process))
        self.held = [one for one in self.held if not one.ended]
        return held

    def go_on(self, held: Held, order: Order) -> None:
        """Let a held process go on to its next step, if it has not ended."""
        if not held.ended:
            held.tell(order)
        self.held = [one for one in self.held if not one.ended]

    def pass_time(self, seconds: float) -> None:
        """Let time pass, for everybody. No process lives for days."""
        self.clock.advance(seconds)
        self.queues.time_passes()
        self.dead.time_passes()
        self._passed += max(0.0, seconds)
        if seconds < 0:
            for number in range(PROCESSES):
                self.model.restraints.misses(number)
        if seconds > 86_400:
            for held in self.held:
                held.kill()
            self.held = []

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self._passed

    def set_lag(self, seconds: float) -> None:
        """The indexes lag so far behind from now on, where they are in memory."""
        if self._indexes is not None:
            self._indexes.lag_seconds = seconds
            self.model.restraints.standing.lags(seconds > 0)

    def set_clock(self, number: int, skew_seconds: int) -> None:
        """Set the clock of a process."""
        self.clocks[number % PROCESSES].skew_seconds = skew_seconds
        self.model.restraints.misses(number % PROCESSES)

    def wait_until(self, moment: int) -> None:
        """Let time pass until then, if it has not."""
        self.pass_time(max(0, moment - self.clock.now()) / 1000)

    def wait(self, late: int) -> None:
        """Let time pass until something is to happen by itself, and some seconds more."""
        if (event := self.next_event()) is not None:
            self.wait_until(event + late * 1000)

    def close(self) -> None:
        for held in self.held:
            held.kill()
        for process in (*self._processes, *self._gone):
            process.close()

    # -- messages ------------------------------------------------------------------------------------------------------

    def arrived(self, *lanes: int) -> list[int]:
        """The lanes of these in which there is a message that may be received now."""
        now = self.clock.now()
        return [lane for lane in lanes if any(one.at <= now for one in self.queues._queues[lane].waiting)]

    def take(self, lane: int, order: Sequence[int]) -> list[Delivery]:
        """Receive some of the messages that may be received now, in this order."""
        ready = sorted(self.queues.receive(lane, 1000, 0), key=lambda one: one.body)
        taken = [ready.pop(number % len(ready)) for number in order if ready]
        self.queues.release(lane, [one.handle for one in ready], 0)
        return taken

    def give_up(self, lane: int, batch: Sequence[Delivery]) -> None:
        """A queue gives up messages that were received too often."""
        for one in batch:
            self.dead.send(lane, one.body, 0)
        self.queues.acknowledge(lane, [one.handle for one in batch])

    def dead_letters(self, lane: int) -> list[str]:
        """The bodies of a queue's dead letters; those that somebody has received and not removed are seen again."""
        self.dead.release(lane, list(self.dead._queues[lane].in_flight), 0)
        return [one.body for one in self.dead._queues[lane].waiting]

    def on_the_way(self, lane: int) -> list[str]:
        """The bodies of all messages in a queue."""
        return [one.body for one in self.queues._queues[lane].waiting]

    def first(self, lane: int) -> str:
        """The id of the task that the first of the lane's messages is about."""
        (first,) = self.take(lane, [0])
        self.queues.release(lane, [first.handle], 0)
        return str(json.loads(first.body)["task_id"])

    def receive(self, process: Process, lane: int, batch: Sequence[Delivery], *, again: bool = False) -> None:
        """Let a process have a batch; ``again``: what it acknowledges comes again all the same."""
        bodies = [one.body for one in batch]
        unhandled = frozenset(range(len(batch)))
        try:
            if lane == CALLBACKS:
                unhandled, _ = run_batch(bodies, CallbackMessage, process.deliver, lambda: 120.0)
            else:
                unhandled, _ = run_batch(bodies, TaskMessage, process.execute, lambda: 900.0)
        finally:
            back = [one.handle for n, one in enumerate(batch) if again or n in unhandled]
            self.queues.release(lane, back, 0)
            self.queues.acknowledge(lane, [one.handle for one in batch])

    def next_arrival(self, *lanes: int) -> int | None:
        """When the next message can be received from one of these lanes."""
        return min((one.at for lane in lanes for one in self.queues._queues[lane].waiting), default=None)

    def next_event(self) -> int | None:
        """When something is next to happen by itself: a message arrives, or a task falls due."""
        arrival = self.next_arrival(*range(6))
        times = (arrival, *(task.due_at for task in self.model.tasks.values()))
        return min((time for time in times if time is not None), default=None)
