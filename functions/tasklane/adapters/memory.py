"""The ports in memory: for tests, and for trying a handler without any engine.

They keep the contract that the AWS adapters keep (one suite runs on both), for one process and as long as it lives.
"""

import base64
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from tasklane.adapters.declarations import MemoryDeclarations
from tasklane.errors import ConfigurationError, NonRetryable, Unavailable
from tasklane.line import EVERY_PULL, is_pull, rank
from tasklane.message import CallbackMessage, TaskMessage
from tasklane.ports import Blocked, Change, Claim, Clock, Delivery, Depth, HttpResponse, Pause
from tasklane.task import Task
from tasklane.throttle import Limit, LimitState
from tasklane.transitions import begun


class ManualClock:
    """A clock that goes only when told to."""

    def __init__(self, now: int = 1_750_000_000_000) -> None:
        self._now = now

    def now(self) -> int:
        """See Clock."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass; a negative number sets the clock back."""
        self._now += round(seconds * 1000)


class MemoryTaskStore:
    """Tasks in a dictionary, under one lock."""

    shards: Sequence[str] = ("0", "1")

    def __init__(self, control: "MemoryControlStore | None" = None) -> None:
        """``control`` knows the limits that hold for claims."""
        self._tasks: dict[str, Task] = {}
        self._control = control or MemoryControlStore()
        self._lock = threading.Lock()

    def put(self, tasks: Sequence[Task]) -> list[Task | Unavailable]:
        """See TaskStore."""
        with self._lock:
            return [self._put(task) for task in tasks]

    def get(self, task_ids: Sequence[str]) -> dict[str, Task]:
        """See TaskStore."""
        with self._lock:
            return {one: self._tasks[one] for one in task_ids if one in self._tasks}

    def claim(self, claims: Sequence[Claim]) -> list[Task | Blocked | Unavailable | None]:
        """See TaskStore."""
        with self._lock:
            return [self._claim(claim) for claim in claims]

    def save(self, changes: Sequence[Change]) -> list[bool | Unavailable]:
        """See TaskStore."""
        with self._lock:
            return [self._save(change) for change in changes]

    def renew(self, changes: Sequence[Change]) -> list[Task | Unavailable | None]:
        """See TaskStore."""
        with self._lock:
            return [self._tasks[c.before.id] if self._save(c) else None for c in changes]

    def remove(self, tasks: Sequence[Task]) -> list[bool | Unavailable]:
        """See TaskStore."""
        with self._lock:
            return [self._remove(task) for task in tasks]

    def due(self, shard: str, until: int, limit: int) -> list[str]:
        """See TaskStore."""
        with self._lock:
            found = [
                (task.due_at, task.id)
                for task in self._tasks.values()
                if task.due_at is not None and task.due_at <= until and self._shard(task.id) == shard
            ]
        return [task_id for _, task_id in sorted(found)[:limit]]

    def recent(self, shard: str, start: int, limit: int, *, newest: bool = True) -> list[tuple[int, str]]:
        """See TaskStore."""
        return self._from(shard, start, limit, lambda task: task.created_at, newest=newest)

    def failures(self, shard: str, start: int, limit: int, *, newest: bool = True) -> list[tuple[int, str]]:
        """See TaskStore."""
        return self._from(shard, start, limit, lambda task: task.outcome_at, newest=newest)

    def in_line(self, line: str, limit: int) -> list[str]:
        """See TaskStore."""
        with self._lock:
            ranks = [(rank(task), task.id) for task in self._tasks.values() if _stands(task, line)]
        return [task_id for _, task_id in sorted(ranks)[:limit]]

    def check(self) -> None:
        """See TaskStore."""

    def _put(self, task: Task) -> Task:
        there = self._tasks.get(task.id)
        if there is None or (there.delete_at is not None and there.delete_at <= task.created_at // 1000):
            self._tasks[task.id] = task
        return self._tasks[task.id]

    def _claim(self, claim: Claim) -> Task | Blocked | None:
        message, task = claim.message, self._tasks.get(claim.message.task_id)
        if task is None:
            return None
        if task.run == message.run and task.lease_id == claim.lease_id:
            return task
        if (task.run, task.status.value) != (message.run - 1, message.status):
            return None
        if (full := self._control.take(claim.takes)) is not None:
            return Blocked(key=full)
        self._tasks[task.id] = begun(
            task,
            run=message.run,
            now=claim.now,
            lease_id=claim.lease_id,
            lease_until=claim.lease_until,
            due_at=claim.due_at,
            slots=claim.takes,
        )
        return self._tasks[task.id]

    def _save(self, change: Change) -> bool:
        before, after, task = change.before, change.after, self._tasks.get(change.before.id)
        if task is None:
            return False
        differing = [name for name in Task.__slots__ if getattr(before, name) != getattr(after, name)]
        if all(getattr(task, name) == getattr(after, name) for name in (*differing, *change.unchanged)):
            return True
        if any(getattr(task, name) != getattr(before, name) for name in change.unchanged):
            return False
        self._tasks[task.id] = task.evolve(**{name: getattr(after, name) for name in differing})
        self._control.give_back([key for key in before.slots if key not in after.slots])
        return True

    def _remove(self, task: Task) -> bool:
        there = self._tasks.get(task.id, task)
        if (there.status, there.run, there.callback) != (task.status, task.run, task.callback):
            return False
        self._tasks.pop(task.id, None)
        return True

    def _from(
        self, shard: str, start: int, limit: int, moment: Callable[[Task], int | None], *, newest: bool
    ) -> list[tuple[int, str]]:
        with self._lock:
            tasks = [(moment(task), task.id) for task in self._tasks.values() if self._shard(task.id) == shard]
        found = [(at, one) for at, one in tasks if at is not None and (at <= start if newest else at >= start)]
        return sorted(found, reverse=newest)[:limit]

    def _shard(self, task_id: str) -> str:
        return self.shards[sum(task_id.encode()) % len(self.shards)]


def _stands(task: Task, line: str) -> bool:
    return is_pull(task.line) if line == EVERY_PULL else task.line == line


class MemoryControlStore(MemoryDeclarations):
    """Decisions in a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self._pauses: dict[str, Pause] = {}
        self._limits: dict[str, Limit] = {}
        self._in_use: Counter[str] = Counter()
        self._next_us: dict[str, int] = {}
        self._waited_for: dict[str, int] = {}
        self._lock = threading.Lock()

    def pauses(self) -> list[Pause]:
        """See ControlStore."""
        with self._lock:
            return list(self._pauses.values())

    def put_pause(self, pause: Pause) -> Pause:
        """See ControlStore."""
        with self._lock:
            there = self._pauses.get(pause.target)
            if there is None or there.resumed_at is not None:
                self._pauses[pause.target] = pause
            return self._pauses[pause.target]

    def end_pause(self, target: str, now: int) -> Pause | None:
        """See ControlStore."""
        with self._lock:
            there = self._pauses.get(target)
            if there is not None and there.resumed_at is None:
                self._pauses[target] = replace(there, resumed_at=now)
            return self._pauses.get(target)

    def put_limit(self, limit: Limit, *, restart: bool) -> None:
        """See ControlStore."""
        with self._lock:
            self._limits[limit.key] = limit
            if restart:
                self._next_us.pop(limit.key, None)

    def remove_limit(self, key: str) -> None:
        """See ControlStore."""
        with self._lock:
            self._limits.pop(key, None)

    def limits(self, keys: Sequence[str]) -> dict[str, LimitState]:
        """See ControlStore."""
        with self._lock:
            return {
                key: LimitState(limit=self._limits[key], in_use=self._in_use[key])
                for key in keys
                if key in self._limits
            }

    def limit_keys(self, start: str | None, count: int) -> list[str]:
        """See ControlStore."""
        with self._lock:
            return sorted((key for key in self._limits if start is None or key > start), key=str.encode)[:count]

    def reserve(self, limit: Limit, now: int, count: int) -> list[int] | None:
        """See ControlStore."""
        assert limit.rate is not None  # noqa: S101 - what the caller looked for
        with self._lock:
            if limit.key not in self._limits or self._limits[limit.key].since != limit.since:
                return None
            base = max(self._next_us.get(limit.key, 0), now * 1000)
            self._next_us[limit.key] = base + count * limit.rate.interval_us
        return limit.rate.starts(base, now * 1000, count)

    def note_waiting(self, key: str, until: int) -> None:
        """See ControlStore."""
        with self._lock:
            self._waited_for[key] = until

    def waited_for(self) -> dict[str, int]:
        """See ControlStore."""
        with self._lock:
            return dict(self._waited_for)

    def forget_waiting(self, key: str, until: int) -> None:
        """See ControlStore."""
        with self._lock:
            if self._waited_for.get(key) == until:
                del self._waited_for[key]

    def take(self, keys: Sequence[str]) -> str | None:
        """Count one more task towards each of these, or none of them: then the first that has no room."""
        with self._lock:
            for key in keys:
                most = self._limits[key].max_concurrent if key in self._limits else None
                if most is not None and self._in_use[key] >= most:
                    return key
            self._in_use.update(keys)
            return None

    def give_back(self, keys: Sequence[str]) -> None:
        """Count one task less towards each of these."""
        with self._lock:
            self._in_use.subtract(keys)

    def forget_pause(self, pause: Pause) -> bool:
        """See ControlStore."""
        with self._lock:
            if self._pauses.get(pause.target) not in (None, pause):
                return False
            self._pauses.pop(pause.target, None)
            return True


class _Queue:
    """Messages of one queue: each has the time from which it may be received."""

    def __init__(self) -> None:
        self.waiting: list[tuple[int, str, str]] = []
        self.in_flight: dict[str, str] = {}


class MemoryQueues:
    """The five lanes and the callback queue (number 0), with delays; also their message source."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queues = {number: _Queue() for number in range(6)}
        self._lock = threading.Lock()
        self._handles = itertools.count(1)

    def send(self, lane: int, body: str, delay_seconds: int) -> None:
        """Put one message into a queue."""
        with self._lock:
            handle = f"memory-{next(self._handles)}"
            self._queues[lane].waiting.append((self._clock.now() + delay_seconds * 1000, handle, body))

    def receive(self, lane: int, limit: int, wait_seconds: int) -> list[Delivery]:
        """See MessageSource. Does not wait: time stands still in here until somebody moves it."""
        with self._lock:
            queue, now = self._queues[lane], self._clock.now()
            ready = [one for one in queue.waiting if one[0] <= now][:limit]
            queue.waiting = [one for one in queue.waiting if one not in ready]
            queue.in_flight |= {handle: body for _, handle, body in ready}
        return [Delivery(handle=handle, body=body, message_id=handle) for _, handle, body in ready]

    def acknowledge(self, lane: int, handles: Sequence[str]) -> None:
        """See MessageSource."""
        with self._lock:
            for handle in handles:
                self._queues[lane].in_flight.pop(handle, None)

    def release(self, lane: int, handles: Sequence[str], delay_seconds: int) -> None:
        """See MessageSource."""
        with self._lock:
            queue, at = self._queues[lane], self._clock.now() + delay_seconds * 1000
            for handle in handles:
                if handle in queue.in_flight:
                    queue.waiting.append((at, handle, queue.in_flight.pop(handle)))

    def depth(self, lane: int) -> int:
        """How many messages wait in a queue, delayed ones too."""
        with self._lock:
            return len(self._queues[lane].waiting)

    def counts(self, lane: int) -> tuple[int, int, int]:
        """How many messages of a queue may be received, are for later, and are in somebody's hands."""
        with self._lock:
            queue, now = self._queues[lane], self._clock.now()
            later = sum(at > now for at, _, _ in queue.waiting)
            return len(queue.waiting) - later, later, len(queue.in_flight)


class MemoryQueueDepths:
    """Counts the messages of queues, and of others that stand for their dead-letter queues."""

    def __init__(self, queues: MemoryQueues, dead_letters: MemoryQueues) -> None:
        self._queues = queues
        self._dead_letters = dead_letters

    def depths(self, lanes: Sequence[int]) -> list[Depth]:
        """See QueueDepths."""
        return [self._depth(lane) for lane in lanes]

    def _depth(self, lane: int) -> Depth:
        waiting, delayed, in_flight = self._queues.counts(lane)
        dead_letters = sum(self._dead_letters.counts(lane))
        return Depth(waiting=waiting, delayed=delayed, in_flight=in_flight, dead_letters=dead_letters)


class MemoryTaskQueue:
    """Lanes in memory."""

    def __init__(self, queues: MemoryQueues, clock: Clock) -> None:
        self._queues = queues
        self._clock = clock

    def send(self, messages: Sequence[TaskMessage]) -> list[Unavailable | None]:
        """See TaskQueue."""
        for message in messages:
            self._queues.send(message.priority, message.to_json(), message.delay_seconds(self._clock.now()))
        return [None] * len(messages)

    def check(self) -> None:
        """See TaskQueue."""


class MemoryCallbackQueue:
    """The callback queue in memory."""

    def __init__(self, queues: MemoryQueues, clock: Clock) -> None:
        self._queues = queues
        self._clock = clock

    def send(self, messages: Sequence[CallbackMessage]) -> list[Unavailable | None]:
        """See CallbackQueue."""
        for message in messages:
            self._queues.send(0, message.to_json(), message.delay_seconds(self._clock.now()))
        return [None] * len(messages)

    def check(self) -> None:
        """See CallbackQueue."""


class MemoryBlobStore:
    """Documents in a dictionary."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    def put(self, key: str, content: bytes, content_type: str = "application/json") -> None:
        """See BlobStore."""
        self._blobs[key] = content

    def get(self, key: str) -> bytes | None:
        """See BlobStore."""
        return self._blobs.get(key)

    def url(self, key: str, seconds: int) -> str:
        """See BlobStore. The address is the content itself (RFC 2397), so it is valid for ever."""
        return f"data:application/json;base64,{base64.b64encode(self._blobs.get(key, b'')).decode()}"

    def delete_all(self, prefix: str) -> None:
        """See BlobStore."""
        for key in [key for key in self._blobs if key.startswith(prefix)]:
            self._blobs.pop(key, None)


class MemoryHttp:
    """Callback sender and downloader: keeps what was posted, and answers what ``answer`` says (200 by default)."""

    def __init__(self, answer: Callable[[str], HttpResponse] | None = None) -> None:
        self.posted: list[tuple[str, bytes, Mapping[str, str]]] = []
        self._answer = answer

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_seconds: float) -> HttpResponse:
        """See CallbackSender."""
        self.posted.append((url, body, dict(headers)))
        return self._response(url)

    def download(self, url: str, timeout_seconds: float, max_bytes: int) -> HttpResponse:
        """See Downloader."""
        response = self._response(url)
        if len(response.body) > max_bytes:
            raise NonRetryable(f"the body is larger than {max_bytes} bytes")
        return response

    def _response(self, url: str) -> HttpResponse:
        return self._answer(url) if self._answer else HttpResponse(status_code=200, headers={}, body=b"")


class MemoryMailer:
    """Keeps what was sent, as (to, subject, body); ``refusal`` is raised instead where there is one."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []
        self.refusal: Exception | None = None

    def send(self, to: str, subject: str, body: str) -> str:
        """See Mailer."""
        if self.refusal is not None:
            raise self.refusal
        self.sent.append((to, subject, body))
        return f"mail-{len(self.sent)}"


class StaticSigningSecrets:
    """Secrets that are simply given; ``tenants`` are those of tenants that have their own."""

    def __init__(self, *secrets: str, tenants: Mapping[str, Sequence[str]] | None = None) -> None:
        self._secrets = secrets
        self._tenants = {} if tenants is None else tenants

    def current(self, tenants: Collection[str]) -> Mapping[str, Sequence[str] | Unavailable | ConfigurationError]:
        """See SigningSecrets."""
        return {tenant: self._tenants.get(tenant, self._secrets) for tenant in tenants}
