"""A whole installation in memory: the real use cases over memory adapters that can be told to refuse."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tasklane.adapters.memory import (
    ManualClock,
    MemoryBlobStore,
    MemoryCallbackQueue,
    MemoryControlStore,
    MemoryHttp,
    MemoryMailer,
    MemoryQueueDepths,
    MemoryQueues,
    MemoryTaskQueue,
    MemoryTaskStore,
    StaticSigningSecrets,
)
from tasklane.batch import run_batch
from tasklane.bootstrap import Services
from tasklane.callback import CallbackReport
from tasklane.errors import Unavailable
from tasklane.execute import BatchReport
from tasklane.message import CallbackMessage, TaskMessage
from tasklane.ports import Blocked, Change, Claim, HttpResponse, Pause
from tasklane.registry import Registry
from tasklane.settings import Settings
from tasklane.submit import Submission, Submitted
from tasklane.sweep import SweepReport
from tasklane.task import Document, Task
from tests.support.builders import NOW, SECRET

CALLBACKS = 0
SETTINGS = Settings(
    stage="test",
    tasks_table="tasks",
    control_table="control",
    bucket="documents",
    lane_urls={lane: f"memory:/lane-{lane}" for lane in range(1, 6)},
    callback_queue_url="memory:callbacks",
)


class UnreliableStore(MemoryTaskStore):
    """Refuses the next calls of a method as often as ``refuse`` says, and keeps what it was asked for."""

    def __init__(self, control: MemoryControlStore | None = None) -> None:
        super().__init__(control)
        self._refusals: Counter[str] = Counter()
        self.got: list[Sequence[str]] = []
        self.saved: list[Sequence[Change]] = []
        self.claimed: list[Sequence[Claim]] = []
        self.renewed: list[Sequence[Change]] = []

    def refuse(self, method: str, times: int = 1) -> None:
        self._refusals[method] += times

    def put(self, tasks: Sequence[Task]) -> list[Task | Unavailable]:
        if self._is_refused("put"):
            return [Unavailable("throttled")] * len(tasks)
        return super().put(tasks)

    def get(self, task_ids: Sequence[str]) -> dict[str, Task]:
        self.got.append(task_ids)
        if self._is_refused("get"):
            raise Unavailable("throttled")
        return super().get(task_ids)

    def claim(self, claims: Sequence[Claim]) -> list[Task | Blocked | Unavailable | None]:
        self.claimed.append(claims)
        if self._is_refused("claim"):
            return [Unavailable("throttled")] * len(claims)
        return super().claim(claims)

    def save(self, changes: Sequence[Change]) -> list[bool | Unavailable]:
        self.saved.append(changes)
        if self._is_refused("save"):
            return [Unavailable("throttled")] * len(changes)
        return super().save(changes)

    def renew(self, changes: Sequence[Change]) -> list[Task | Unavailable | None]:
        self.renewed.append(changes)
        if self._is_refused("renew"):
            return [Unavailable("throttled")] * len(changes)
        return super().renew(changes)

    def due(self, shard: str, until: int, limit: int) -> list[str]:
        if self._is_refused("due"):
            raise Unavailable("throttled")
        return super().due(shard, until, limit)

    def check(self) -> None:
        if self._is_refused("check"):
            raise Unavailable("the table does not answer")

    def only(self) -> Task:
        """The one task there is."""
        (task,) = self._tasks.values()
        return task

    def _is_refused(self, method: str) -> bool:
        if refused := self._refusals[method] > 0:
            self._refusals[method] -= 1
        return refused


class UnreliableLanes(MemoryTaskQueue):
    """Refuses the next sends, as many as ``refuse`` says; keeps the messages that it took."""

    def __init__(self, queues: MemoryQueues, clock: ManualClock) -> None:
        super().__init__(queues, clock)
        self.refuse = 0
        self.sent: list[TaskMessage] = []

    def send(self, messages: Sequence[TaskMessage]) -> list[Unavailable | None]:
        if self.refuse > 0:
            self.refuse -= 1
            return [Unavailable("the lane is closed")] * len(messages)
        self.sent += messages
        return super().send(messages)


class UnreliableBlobs(MemoryBlobStore):
    """Refuses the next calls, as many as ``refuse`` says."""

    def __init__(self) -> None:
        super().__init__()
        self.refuse = 0

    def put(self, key: str, content: bytes, content_type: str = "application/json") -> None:
        self._maybe_refuse()
        super().put(key, content, content_type)

    def get(self, key: str) -> bytes | None:
        self._maybe_refuse()
        return super().get(key)

    def url(self, key: str, seconds: int) -> str:
        self._maybe_refuse()
        return super().url(key, seconds)

    def delete_all(self, prefix: str) -> None:
        self._maybe_refuse()
        super().delete_all(prefix)

    def _maybe_refuse(self) -> None:
        if self.refuse > 0:
            self.refuse -= 1
            raise Unavailable("the bucket does not answer")


class UnreliableControl(MemoryControlStore):
    """Refuses the next reads, as many as ``refuse`` says; counts those that it answered."""

    def __init__(self) -> None:
        super().__init__()
        self.refuse = 0
        self.reads = 0

    def pauses(self) -> list[Pause]:
        if self.refuse > 0:
            self.refuse -= 1
            raise Unavailable("the control table does not answer")
        self.reads += 1
        return super().pauses()


@dataclass(frozen=True, kw_only=True)
class Installation:
    """Everything a test may want to look at or to break."""

    clock: ManualClock
    store: UnreliableStore
    queues: MemoryQueues
    dead_letters: MemoryQueues
    lanes: UnreliableLanes
    control: UnreliableControl
    blobs: UnreliableBlobs
    http: MemoryHttp
    mailer: MemoryMailer
    registry: Registry
    services: Services

    def submit(self, type: str = "echo", payload: dict[str, Any] | None = None, **fields: Any) -> Task:  # noqa: A002
        return self.submitted(type=type, payload=payload or {}, **fields).task

    def submitted(self, **fields: Any) -> Submitted:
        return self.services.submit(Submission(**fields))

    def task(self, task: Task) -> Task:
        """The task as it is now."""
        return self.store.get([task.id])[task.id]

    def result(self, task: Task) -> Any:
        kept = self.task(task).result
        return None if kept is None else json.loads(self.text(kept))

    def text(self, kept: Document) -> str:
        return self.services.read.text(kept)

    def work(self, lane: int = 3, seconds: float = 900.0) -> BatchReport:
        """Run the batch that waits in a lane, as the worker does; what it did not handle comes again at once."""
        report: BatchReport = self._batch(lane, TaskMessage, self.services.execute, seconds)
        return report

    def deliver(self, seconds: float = 120.0) -> CallbackReport:
        """Deliver the callbacks that wait in their queue, as the callback function does."""
        report: CallbackReport = self._batch(CALLBACKS, CallbackMessage, self.services.deliver_callbacks, seconds)
        return report

    def sweep(self, seconds: float = 60.0) -> SweepReport:
        return self.services.sweep(lambda: seconds)

    def close(self) -> None:
        self.services.execute.close()

    def _batch(self, lane: int, message_type: Any, use_case: Any, seconds: float) -> Any:
        batch = self.queues.receive(lane, 10, 0)
        unhandled, report = run_batch([one.body for one in batch], message_type, use_case, lambda: seconds)
        self.queues.acknowledge(lane, [one.handle for n, one in enumerate(batch) if n not in unhandled])
        self.queues.release(lane, [one.handle for n, one in enumerate(batch) if n in unhandled], 0)
        return report


def an_installation(
    *,
    registry: Registry,
    answer: Callable[[str], HttpResponse] | None = None,
    secrets: Sequence[str] = (SECRET,),
    store: UnreliableStore | None = None,
    settings: Settings = SETTINGS,
) -> Installation:
    """An empty installation with these task types; ``answer`` is what receivers of callbacks say."""
    clock = ManualClock(NOW)
    control = UnreliableControl()
    store = store or UnreliableStore(control)
    queues, blobs, http = MemoryQueues(clock), UnreliableBlobs(), MemoryHttp(answer)
    dead_letters = MemoryQueues(clock)
    lanes, mailer = UnreliableLanes(queues, clock), MemoryMailer()
    services = Services(
        settings,
        registry=registry,
        clock=clock,
        store=store,
        queue=lanes,
        callback_queue=MemoryCallbackQueue(queues, clock),
        source=queues,
        control=control,
        dead_letters=dead_letters,
        depths=MemoryQueueDepths(queues, dead_letters),
        blobs=blobs,
        http=http,
        mailer=mailer,
        secrets=StaticSigningSecrets(*secrets),
    )
    return Installation(
        clock=clock,
        store=store,
        queues=queues,
        dead_letters=dead_letters,
        lanes=lanes,
        control=control,
        blobs=blobs,
        http=http,
        mailer=mailer,
        registry=registry,
        services=services,
    )
