"""Builders: a valid record with a word for what the test is about, and defaults for the rest."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from tasklane.ids import new_lease_id, new_task_id
from tasklane.message import TaskMessage
from tasklane.ports import Change, Claim
from tasklane.task import (
    Attempt,
    Callback,
    CallbackEvent,
    CallbackState,
    CallbackTry,
    Document,
    ErrorDetails,
    Progress,
    Status,
    Task,
)
from tasklane.timing import LEASE_MARGIN_MS

NOW: Final = 1_750_000_000_000
"""The tests' present, in Unix milliseconds."""
TIMEOUT_MS: Final = 60_000
SECRET: Final = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLDER_SECRET: Final = "whsec_" + "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"

_numbers = itertools.count(1)


def a_document(text: str = '{"n":10}') -> Document:
    return Document(text=text, size=len(text.encode()))


def a_task(**changes: Any) -> Task:
    """A pending task that nobody has touched yet."""
    task = Task(
        id=new_task_id(NOW + next(_numbers)),
        type="echo",
        status=Status.PENDING,
        payload=a_document(),
        created_at=NOW,
        timeout_seconds=TIMEOUT_MS // 1000,
        max_attempts=3,
        due_at=NOW + 180_000,
    )
    return task.evolve(**changes)


def a_running_task(**changes: Any) -> Task:
    """A task in its first run."""
    run = {
        "status": Status.RUNNING,
        "run": 1,
        "started_at": NOW,
        "lease_id": new_lease_id(),
        "lease_until": NOW + TIMEOUT_MS + LEASE_MARGIN_MS,
    }
    return a_task(**(run | changes))


def a_completed_task(**changes: Any) -> Task:
    """A task that ended well a second after its start, with its callback (where there is one) still to be sent."""
    end = {
        "status": Status.COMPLETED,
        "run": 1,
        "started_at": NOW,
        "finished_at": NOW + 1000,
        "result": a_document('{"result":55}'),
        "due_at": None,
        "delete_at": NOW // 1000 + 30 * 86_400,
    }
    return a_task(**(end | changes))


def a_pending_callback(**changes: Any) -> Callback:
    callback = Callback(url="https://hooks.example.com/done", state=CallbackState.PENDING, next_at=NOW)
    return replace(callback, **changes)


def an_error(message: str = "the disk is full", kind: str = "OSError") -> ErrorDetails:
    return ErrorDetails(type=kind, message=message)


def an_attempt(number: int = 1, **changes: Any) -> Attempt:
    return replace(Attempt(number=number, started_at=NOW, finished_at=NOW + 500, error=an_error()), **changes)


def a_task_with_every_field(**changes: Any) -> Task:
    """A task in which no field has its default."""
    task = Task(
        id=new_task_id(NOW + next(_numbers)),
        type="Überweisung 🚀",
        status=Status.FAILED,
        payload=a_document('{"text":"ünï → 🦊","list":[1,2.5,null,true]}'),
        created_at=NOW - 1,
        timeout_seconds=61,
        max_attempts=7,
        attempts_each=3,
        reopened_at=NOW,
        priority=5,
        tenant="tenant-a",
        labels={"order": "4711", "empty": "", "größe": "XL 🎈"},
        run_at=NOW + 1,
        expires_at=NOW + 2,
        run=4,
        lease_id="abcd1234",
        lease_until=NOW + 3,
        started_at=NOW + 4,
        finished_at=NOW + 5,
        progress=Progress(fraction=0.25, message="a quarter"),
        result=Document(text=None, size=70_000, blob_key="some-task/result-4"),
        error=an_error("nothing left to try 💥"),
        attempts=(an_attempt(3), an_attempt(4, error=an_error("", "Silent"))),
        callback=Callback(
            url="https://hooks.example.com/ünï",
            state=CallbackState.UNDELIVERED,
            tries=2,
            earlier=3,
            next_at=NOW + 6,
            history=(
                CallbackTry(number=1, started_at=NOW, duration_ms=12, status_code=503),
                CallbackTry(number=2, started_at=NOW + 1, duration_ms=15_000, error="no answer"),
            ),
            events=(CallbackEvent.RUNNING, CallbackEvent.PROGRESS),
            told=5,
            give_up_on_4xx=False,
        ),
        due_at=NOW + 7,
        sends=3,
        request_hash="d1e2",
        correlation_id="req-1",
        contract="task-queue",
        outcome_at=NOW + 8,
        delete_at=NOW // 1000 + 9,
        has_blobs=True,
        retry={"pauses": [1, 2.5], "max_age_seconds": 60},
        uncounted=2,
        continuations=1,
        state=a_document('{"page":7}'),
        throttle_keys=("account:7", "cluster"),
        slots=("cluster",),
        reserved_at=NOW + 10,
        reserved_on=NOW + 11,
        reserved_first=NOW + 9,
        line="pause:type:Größe#5 / x",
        cancel_requested=True,
        external=True,
        ended_by="3-abcd1234",
    )
    return task.evolve(**changes)


def a_message(task: Task | None = None, **changes: Any) -> TaskMessage:
    """The message that lets a worker claim ``task``."""
    return replace(TaskMessage.of(task or a_task()), **changes)


def a_claim(
    task: Task,
    *,
    now: int = NOW + 1000,
    due_at: int | None = None,
    takes: tuple[str, ...] = (),
    starts_at: int | None = None,
    **message: Any,
) -> Claim:
    """A worker's claim of ``task``, with a lease id of its own."""
    return Claim(
        message=a_message(task, **message),
        now=now,
        lease_id=new_lease_id(),
        lease_until=now + task.timeout_seconds * 1000 + LEASE_MARGIN_MS,
        due_at=due_at,
        takes=takes,
        starts_at=starts_at,
    )


def a_change(before: Task, *, unchanged: Sequence[str] = ("status", "run"), **changes: Any) -> Change:
    return Change(before=before, after=before.evolve(**changes), unchanged=tuple(unchanged))
