"""The processes of the stateful test: the use cases as each of them has them, on ports that may fail."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from tasklane.adapters.memory import (
    ManualClock,
    MemoryMailer,
    StaticSigningSecrets,
)
from tasklane.announce import Announcer
from tasklane.callback import DeliverCallbacks
from tasklane.execute import Execute
from tasklane.fetch import Fetch
from tasklane.lease import Leases
from tasklane.limits import ManageLimits
from tasklane.lines import Lines
from tasklane.listing import ListCallbacks
from tasklane.manage import ManageTasks, ReadTasks
from tasklane.message import CallbackMessage, TaskMessage
from tasklane.pause import PauseTasks
from tasklane.redrive import Redrive
from tasklane.release import Release
from tasklane.run import Run
from tasklane.starter import Starter
from tasklane.submit import Submit
from tasklane.sweep import Sweep
from tasklane.task import CallbackEvent, Task
from tasklane.task_types import TaskTypes
from tasklane.timing import Timing
from tasklane.watch import Watch
from tests.faults.stateful_control import FaultyControl, FaultyDeadLetters
from tests.faults.stateful_handlers import task_types
from tests.faults.stateful_held import Held, HeldWatch
from tests.faults.stateful_lines import Who
from tests.faults.stateful_model import Model
from tests.faults.stateful_ports import FaultyBlobs, FaultyQueue, Receiver
from tests.support.builders import SECRET

if TYPE_CHECKING:
    from tests.faults.stateful_world import World

TIMING: Final = Timing()


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


class PromptStarter(Starter):
    """Begins at once what is to wait for its time slot: the model knows when that is, and time is made up."""

    def __init__(self, model: Model, clock: SkewedClock, **ports: Any) -> None:
        super().__init__(**ports)
        self._model = model
        self._clock = clock

    def begin(self, task: Task, remaining: Callable[[], float], wait_seconds: float = 0.0) -> Run:
        self._model.restraints.starts_handler(task, self._clock.now() + round(wait_seconds * 1000))
        return super().begin(task, remaining)


class Process:
    """The use cases as one process has them; ``number`` says whose clock it goes by."""

    def __init__(self, world: "World", number: int, held: Held | None = None) -> None:
        faults, model, clock = world.faults, world.model, world.clocks[number]
        who = Who(number=number, clock=clock, held_since=world.clock.now() if held else None)
        registry = task_types(model, held) if held else world.registry
        types = TaskTypes(registry=registry, control=world.control, clock=clock)
        blobs = FaultyBlobs(world.blobs, faults, model)
        lanes = FaultyQueue[TaskMessage](world.queues.lanes(clock), "lanes", faults, model, who, held)
        callbacks = FaultyQueue[CallbackMessage](world.queues.callbacks(clock), "callbacks", faults, model, who, held)
        store = world.store.of(who, held)
        ports: dict[str, Any] = {"store": store, "clock": clock, "timing": TIMING}
        queues: dict[str, Any] = {"queue": lanes, "callback_queue": callbacks}
        control: dict[str, Any] = {"control": FaultyControl(world.control, faults, model.restraints, who, held)}
        self.number = number
        self.clock = clock
        self.receiver = Receiver(faults, model, held)
        self.submit = Submit(**ports, queue=lanes, blobs=blobs, types=types)
        outside: dict[str, Any] = {"blobs": blobs, "downloader": self.receiver, "mailer": MemoryMailer()}
        self.execute = Execute(**ports, **queues, **control, **outside, registry=registry, types=types, random=_half)
        announcer = PromptAnnouncer(callback_queue=world.queues.callbacks(clock), clock=clock)
        parts: dict[str, Any] = {"invoker": self.execute._invoker, "announcer": announcer}
        self.execute._announcer = announcer
        self.execute._watch = HeldWatch(held, **ports, **parts) if held else Watch(**ports, **parts)
        self.execute._starter = PromptStarter(model, clock, registry=registry, invoker=self.execute._invoker, **outside)
        self.sweep = Sweep(**ports, **queues, **control, types=types, random=_half)
        self.deliver = DeliverCallbacks(
            **ports,
            callback_queue=callbacks,
            blobs=blobs,
            sender=self.receiver,
            secrets=StaticSigningSecrets(SECRET),
            random=_half,
        )
        self.fetch = Fetch(**ports, **queues, **control)
        self.leases = Leases(**ports, **queues, blobs=blobs, types=types, random=_half)
        self.fetch._announcer = self.leases._announcer = announcer
        read = ReadTasks(store=ports["store"], blobs=blobs, clock=clock)
        self.manage = ManageTasks(**ports, **queues, **control, read=read)
        self.listing = ListCallbacks(store=ports["store"], clock=clock)
        release = Release(**ports, **control, queue=lanes)
        self.pauses = PauseTasks(**control, release=release, clock=clock)
        self.limits = ManageLimits(
            **control, lines=Lines(**ports, **control, queue=lanes), release=release, clock=clock
        )
        self.redrive = Redrive(**ports, **queues, dead_letters=FaultyDeadLetters(world.dead, faults))

    def close(self) -> None:
        self.execute.close()


def _half() -> float:
    return 0.5
