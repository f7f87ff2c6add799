"""Ports that refuse, lose answers, or take their process down, where the stateful test says so."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Generic, Protocol, TypeVar

from tasklane.errors import AddressRefused, Contended, Unavailable
from tasklane.line import limit_key
from tasklane.message import CallbackMessage, TaskMessage
from tasklane.ports import BlobStore, Blocked, Change, Claim, HttpResponse, TaskStore
from tasklane.task import Task
from tests.faults.stateful_held import Crash, Held
from tests.faults.stateful_lines import KEYS, Who
from tests.faults.stateful_model import Model, Request

_T = TypeVar("_T")
_R = TypeVar("_R")
_Request = TypeVar("_Request", bound=Request)
_M = TypeVar("_M", bound=TaskMessage | CallbackMessage)
_M_contra = TypeVar("_M_contra", bound=TaskMessage | CallbackMessage, contravariant=True)


class Kind(Enum):
    """How a request goes wrong."""

    REFUSED = auto()
    """It has not happened, and the answer says so."""
    CONTENDED = auto()
    """The same, because others wrote there at that moment."""
    UNANSWERED = auto()
    """It has happened, and the answer got lost."""
    DIED_BEFORE = auto()
    """Its process dies before it is sent."""
    DIED_AFTER = auto()
    """Its process dies when it has happened."""


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """The next ``times`` requests for a task at a port go wrong; bit n of ``whom``: tasks whose number mod 3 is n."""

    port: str
    kind: Kind
    whom: int = 7
    times: int = 1


class Faults:
    """Decides which request goes wrong. By task, not in the order of requests: that is for threads to decide."""

    def __init__(self) -> None:
        self._trouble: Trouble | None = None
        self._met: Counter[int] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def of(self, trouble: Trouble | None) -> Iterator[None]:
        """What goes wrong for as long as this lasts."""
        self._trouble, self._met = trouble, Counter()
        try:
            yield
        finally:
            self._trouble = None

    def batch(
        self, port: str, numbers: Sequence[int], requests: Sequence[_T], act: Callable[[Sequence[_T]], Sequence[_R]]
    ) -> list[_R | Unavailable]:
        """Make the requests that reach the port, and lose the answers that get lost."""
        kinds = [self._strike(port, number) for number in numbers]
        if Kind.DIED_BEFORE in kinds:
            raise Crash
        reach = [n for n, kind in enumerate(kinds) if kind not in (Kind.REFUSED, Kind.CONTENDED)]
        answers = dict(zip(reach, act([requests[n] for n in reach]), strict=True)) if reach else {}
        if Kind.DIED_AFTER in kinds:
            raise Crash
        return [answers[n] if kind is None else _refusal(kind) for n, kind in enumerate(kinds)]

    def whole(self, port: str, numbers: Sequence[int], act: Callable[[], _R]) -> _R:
        """Make a request that succeeds or fails as a whole. Raises Unavailable."""
        found: list[_R] = []
        for answer in self.batch(port, numbers, numbers, lambda reached: [act()] * len(reached)):
            if isinstance(answer, Unavailable):
                raise answer
            found.append(answer)
        return found[0] if found else act()

    def _strike(self, port: str, number: int) -> Kind | None:
        with self._lock:
            trouble = self._trouble
            if trouble is None or trouble.port != port or not trouble.whom >> number % 3 & 1:
                return None
            self._met[number] += 1
            return trouble.kind if self._met[number] <= trouble.times else None


class FaultyStore:
    """The store under test. The model sees every write; a process that is held waits before each of its own."""

    def __init__(
        self, store: TaskStore, faults: Faults, model: Model, who: Who | None = None, held: Held | None = None
    ) -> None:
        self._store = store
        self._faults = faults
        self._model = model
        self._who = who
        self._held = held
        self._writing = threading.Lock()

    def of(self, who: Who, held: Held | None) -> "FaultyStore":
        """As one process sees it. If it is held, in one piece: it takes turns with the test in a single thread."""
        mine = FaultyStore(self._store, self._faults, self._model, who, held)
        mine._writing = self._writing
        return mine

    @property
    def shards(self) -> Sequence[str]:
        return self._store.shards if self._held is None else ("all",)

    def put(self, tasks: Sequence[Task]) -> list[Task | Unavailable]:
        return self._write("put", tasks, self._store.put)

    def get(self, task_ids: Sequence[str]) -> dict[str, Task]:
        numbers = [self._model.number(one) for one in task_ids]
        return self._faults.whole("get", numbers, lambda: self._store.get(task_ids))

    def claim(self, claims: Sequence[Claim]) -> list[Task | Blocked | Unavailable | None]:
        return self._write("claim", claims, self._store.claim)

    def save(self, changes: Sequence[Change]) -> list[bool | Unavailable]:
        return self._write("save", changes, self._store.save)

    def renew(self, changes: Sequence[Change]) -> list[Task | Unavailable | None]:
        return self._write("renew", changes, self._store.renew)

    def remove(self, tasks: Sequence[Task]) -> list[bool | Unavailable]:
        return self._store.remove(tasks)

    def recent(self, shard: str, start: int, limit: int, *, newest: bool = True) -> list[tuple[int, str]]:
        return self._store.recent(shard, start, limit, newest=newest)

    def due(self, shard: str, until: int, limit: int) -> list[str]:
        shards = self._store.shards if shard == "all" else [shard]
        numbers = [int(one, 16) for one in shards]
        ask = partial(self._store.due, until=until, limit=limit)
        return self._faults.whole("due", numbers, lambda: [task_id for one in shards for task_id in ask(one)])[:limit]

    def in_line(self, line: str, limit: int) -> list[str]:
        key = limit_key(line)
        numbers = [KEYS.index(key) if key in KEYS else 0]
        return self._faults.whole("line", numbers, lambda: self._store.in_line(line, limit))

    def failures(self, shard: str, start: int, limit: int, *, newest: bool = True) -> list[tuple[int, str]]:
        return self._store.failures(shard, start, limit, newest=newest)

    def check(self) -> None:
        self._store.check()

    def _write(
        self, port: str, requests: Sequence[_Request], act: Callable[[Sequence[_Request]], Sequence[_R | Unavailable]]
    ) -> list[_R | Unavailable]:
        assert self._who is not None
        judged = {_task_id(request): self._model.restraints.judge(request, self._who) for request in requests}
        if self._held is not None and port != "renew":  # a heartbeat is waited for where it begins
            self._held.pause()

        def seen(reached: Sequence[_Request]) -> Sequence[_R | Unavailable]:
            asked = {_task_id(request): request for request in reached}
            with self._writing:
                answers = act(reached)
                for task_id, task in self._store.get(list(asked)).items():
                    self._model.writes(task, asked[task_id], judged[task_id])
            return answers

        numbers = [self._model.number(_task_id(request)) for request in requests]
        return self._faults.batch(port, numbers, requests, seen)


def _refusal(kind: Kind) -> Unavailable:
    return Contended(kind.name) if kind is Kind.CONTENDED else Unavailable(kind.name)


def _task_id(request: Request) -> str:
    match request:
        case Task():
            return request.id
        case Claim():
            return request.message.task_id
        case Change():
            return request.before.id


class Sends(Protocol[_M_contra]):
    """A queue of one kind of message."""

    def send(self, messages: Sequence[_M_contra]) -> list[Unavailable | None]: ...
    def check(self) -> None: ...


class FaultyQueue(Generic[_M]):
    """A queue under test; a process that is held waits before each send."""

    def __init__(self, queue: Sends[_M], port: str, faults: Faults, model: Model, who: Who, held: Held | None) -> None:
        self._queue = queue
        self._port = port
        self._faults = faults
        self._model = model
        self._who = who
        self._held = held

    def send(self, messages: Sequence[_M]) -> list[Unavailable | None]:
        self._model.restraints.standing.sends(messages, self._who)
        if self._held is not None:
            self._held.pause()
        numbers = [self._model.number(message.task_id) for message in messages]
        return self._faults.batch(self._port, numbers, messages, self._queue.send)

    def check(self) -> None:
        self._queue.check()


class FaultyBlobs:
    """The blob store under test."""

    def __init__(self, blobs: BlobStore, faults: Faults, model: Model) -> None:
        self._blobs = blobs
        self._faults = faults
        self._model = model

    def put(self, key: str, content: bytes, content_type: str = "application/json") -> None:
        self._faults.whole("blob", self._numbers(key), lambda: self._blobs.put(key, content, content_type))

    def get(self, key: str) -> bytes | None:
        return self._faults.whole("blob", self._numbers(key), lambda: self._blobs.get(key))

    def url(self, key: str, seconds: int) -> str:
        return self._blobs.url(key, seconds)

    def delete_all(self, prefix: str) -> None:
        self._blobs.delete_all(prefix)

    def _numbers(self, key: str) -> list[int]:
        return [self._model.number(key.partition("/")[0])]


class Receiver:
    """Where callbacks go. ``answers``: by the task's number; 0 is no answer, 1 an address that the guard refuses."""

    def __init__(self, faults: Faults, model: Model, held: Held | None) -> None:
        self.answers: Sequence[int] = ()
        self._faults = faults
        self._model = model
        self._held = held

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_seconds: float) -> HttpResponse:
        number = self._model.number(json.loads(body)["data"]["id"])
        code = self.answers[number % len(self.answers)] if self.answers else int(url.rpartition("/")[2])
        if code == 1:
            raise AddressRefused("no public address")
        return self._faults.whole("post", [number], lambda: self._answer(code, body, headers))

    def download(self, url: str, timeout_seconds: float, max_bytes: int) -> HttpResponse:
        raise AssertionError(f"no handler here fetches {url}")

    def _answer(self, code: int, body: bytes, headers: Mapping[str, str]) -> HttpResponse:
        event = self._model.posts(body, headers)
        if self._held is not None:
            self._held.pause()
        if code == 0:
            raise Unavailable("no answer in time")
        self._model.answers(event, code)
        return HttpResponse(status_code=code, headers={"retry-after": "120"} if code == 429 else {}, body=b"")
