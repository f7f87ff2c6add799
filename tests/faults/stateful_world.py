"""An installation for the stateful test: processes with clocks of their own over one store, one set of queues."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel

from tasklane import document
from tasklane.adapters.memory import (
    ManualClock,
    MemoryCallbackQueue,
    MemoryControlStore,
    MemoryMailer,
    MemoryQueues,
    MemoryTaskQueue,
    StaticSigningSecrets,
)
from tasklane.announce import Announcer
from tasklane.batch import run_batch
from tasklane.callback import DeliverCallbacks
from tasklane.context import TaskContext
from tasklane.errors import Continue, NonRetryable, RetryLater
from tasklane.execute import Execute
from tasklane.fetch import Fetch
from tasklane.lease import Leases
from tasklane.listing import ListCallbacks
from tasklane.manage import ManageTasks, ReadTasks
from tasklane.message import CallbackMessage, TaskMessage
from tasklane.ports import BlobStore, Delivery, TaskStore
from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tasklane.submit import Submit
from tasklane.sweep import Sweep
from tasklane.task import CallbackEvent, Task
from tasklane.task_types import TaskTypes
from tasklane.transitions import Timing
from tasklane.watch import Watch
from tests.faults.stateful_held import Crash, Held, HeldWatch, Order
from tests.faults.stateful_model import Model
from tests.faults.stateful_ports import Faults, FaultyBlobs, FaultyQueue, FaultyStore, Receiver
from tests.support.builders import NOW, SECRET

CALLBACKS: Final = 0
PROCESSES: Final = 4
TIMING: Final = Timing()
PAD: Final = "x" * 5000
"""Makes a document too large for a record."""


class Job(BaseModel):
    """What a task's handler does: the first call takes the first of ``steps``, and so on; after that all goes well."""

    steps: list[str] = []
    pad: str = ""


ERRORS: Final[Mapping[str, Callable[[], BaseException]]] = {
    "fails": lambda: OSError("the disk is full"),
    "is hopeless": lambda: NonRetryable("no such file"),
    "asks for a pause": lambda: RetryLater("busy", 30),
    "asks for an hour": lambda: RetryLater("closed", 3600),
    "goes on": lambda: Continue({"page": 1}),
    "goes on in an hour": lambda: Continue({"page": 2, "pad": PAD}, after=3600),
    "leaves": SystemExit,
}
STEPS: Final = (*ERRORS, "keeps and fails", "listens", "returns nonsense", "returns much")


def act(step: str, held: Held | None, context: TaskContext) -> Any:
    """One call of a handler, when it has been let go on."""
    if held is not None and held.over:
        raise RuntimeError("its process is gone")
    if step in ERRORS:
        error = ERRORS[step]()
        raise error
    if step == "keeps and fails":
        context.checkpoint({"page": 3})
        raise OSError("the disk is full")
    if step == "listens":
        context.progress(0.5)
    result = {"run": context._run, "pad": PAD if step == "returns much" else ""}
    return object() if step == "returns nonsense" else result


def task_types(model: Model, held: Held | None = None) -> Registry:
    """A plain handler, an async one, and work for others."""
    registry = Registry()

    def begin(payload: Job, context: TaskContext) -> str:
        calls = model.begins(context.task_id, context._run)
        if held is not None:
            held.entered.set()
        return payload.steps[calls] if calls < len(payload.steps) else "does well"

    @registry.task("plain", retry=RetryPolicy(base_seconds=8), max_continuations=2)
    def plain(payload: Job, context: TaskContext) -> Any:
        step = begin(payload, context)
        if held is not None:
            held.gate.wait()
        return act(step, held, context)

    @registry.task("async", priority=5, retry=RetryPolicy.listed(0, 20, 2000), max_continuations=2)
    async def asynchronous(payload: Job, context: TaskContext) -> Any:
        step = begin(payload, context)
        while held is not None and not held.gate.is_set():  # noqa: ASYNC110 - another thread opens the gate
            await asyncio.sleep(0.001)
        return act(step, held, context)

    registry.declare_external("external")
    return registry


class SkewedClock:
    """A process' clock: the world's, some seconds off."""

    def __init__(self, true: ManualClock, model: Model) -> None:
        self.skew_seconds = 0
        self._true = true
        self._model = model

    def now(self) -> int:
        now = self._true.now() + self.skew_seconds * 1000
        self._model.latest = max(self._model.latest, now)
        return now


class PromptAnnouncer(Announcer):
    """Tells from threads of their own, as ever, but has told when it returns: an example must be repeatable."""

    def announce(self, event: CallbackEvent, tasks: Iterable[Task]) -> None:
        super().announce(event, tasks)
        while (thread := self._thread) is not None:
            thread.join()


class Process:
    """The use cases as one process has them."""

    def __init__(self, world: "World", clock: SkewedClock, held: Held | None = None) -> None:
        faults, model = world.faults, world.model
        blobs = FaultyBlobs(world.blobs, faults, model)
        lanes = FaultyQueue[TaskMessage](MemoryTaskQueue(world.queues, clock), "lanes", faults, model, held)
        callbacks = FaultyQueue[CallbackMessage](
            MemoryCallbackQueue(world.queues, clock), "callbacks", faults, model, held
        )
        registry = task_types(world.model, held) if held else world.registry
        store = world.store.of(held) if held else world.store
        ports: dict[str, Any] = {"store": store, "clock": clock, "timing": TIMING}
        types = TaskTypes(registry=registry, control=world.control, clock=clock)
        both: dict[str, Any] = {"queue": lanes, "callback_queue": callbacks, "types": types}
        control: dict[str, Any] = {"control": world.control}
        self.clock = clock
        self.receiver = Receiver(faults, model, held)
        self.submit = Submit(**ports, queue=lanes, blobs=blobs, types=types)
        self.execute = Execute(
            **ports,
            **both,
            **control,
            registry=registry,
            blobs=blobs,
            downloader=self.receiver,
            mailer=MemoryMailer(),
            random=_half,
        )
        announcer = PromptAnnouncer(callback_queue=MemoryCallbackQueue(world.queues, clock), clock=clock)
        parts: dict[str, Any] = {"invoker": self.execute._invoker, "announcer": announcer}
        self.execute._announcer = announcer
        self.execute._watch = HeldWatch(held, **ports, **parts) if held else Watch(**ports, **parts)
        self.sweep = Sweep(**ports, **both, **control, random=_half)
        self.deliver = DeliverCallbacks(
            **ports,
            callback_queue=callbacks,
            blobs=blobs,
            sender=self.receiver,
            secrets=StaticSigningSecrets(SECRET),
            random=_half,
        )
        queues: dict[str, Any] = {"queue": lanes, "callback_queue": callbacks}
        self.fetch = Fetch(**ports, **queues, **control)
        self.leases = Leases(**ports, **queues, blobs=blobs, types=types, random=_half)
        self.fetch._announcer = self.leases._announcer = announcer
        read = ReadTasks(store=ports["store"], blobs=blobs, clock=clock)
        self.manage = ManageTasks(**ports, **both, read=read)
        self.listing = ListCallbacks(store=ports["store"], clock=clock)

    def close(self) -> None:
        self.execute.close()


class World:
    """Everything there is. ``store`` and ``blobs`` are the adapters under test."""

    def __init__(self, store: TaskStore, blobs: BlobStore) -> None:
        self.clock = ManualClock(NOW)
        self.faults = Faults()
        self.model = Model(lambda kept: document.read(kept, blobs), TIMING)
        self.store = FaultyStore(store, self.faults, self.model)
        self.blobs = blobs
        self.queues = MemoryQueues(self.clock)
        self.control = MemoryControlStore()
        self.registry = task_types(self.model)
        self.clocks = [SkewedClock(self.clock, self.model) for _ in range(PROCESSES)]
        self.held: list[Held] = []
        self._processes = [Process(self, clock) for clock in self.clocks]
        self._gone: list[Process] = []

    def run(self, number: int, call: Callable[[Process], object]) -> None:
        """Let a process do something; where it dies of it, another one takes its place."""
        process = self._processes[number % PROCESSES]
        try:
            call(process)
        except Crash:
            self._gone.append(process)
            self._processes[number % PROCESSES] = Process(self, process.clock)

    def hold(self, number: int, call: Callable[[Process], object]) -> Held:
        """Let a process do something step by step, while others do what they do; it waits before its first write."""
        held = Held()
        process = Process(self, self.clocks[number % PROCESSES], held)
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
        if seconds > 86_400:
            for held in self.held:
                held.kill()
            self.held = []

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
        return [lane for lane in lanes if any(at <= now for at, _, _ in self.queues._queues[lane].waiting)]

    def take(self, lane: int, order: Sequence[int]) -> list[Delivery]:
        """Receive some of the messages that may be received now, in this order."""
        ready = sorted(self.queues.receive(lane, 1000, 0), key=lambda one: one.body)
        taken = [ready.pop(number % len(ready)) for number in order if ready]
        self.queues.release(lane, [one.handle for one in ready], 0)
        return taken

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
        return min((at for lane in lanes for at, _, _ in self.queues._queues[lane].waiting), default=None)

    def next_event(self) -> int | None:
        """When something is next to happen by itself: a message arrives, or a task falls due."""
        arrival = self.next_arrival(*range(6))
        times = (arrival, *(task.due_at for task in self.model.tasks.values()))
        return min((time for time in times if time is not None), default=None)


def _half() -> float:
    return 0.5
