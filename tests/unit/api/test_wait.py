"""``GET /v1/tasks/{id}?wait=``: an answer as soon as there is one, at no thread's expense."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import anyio
import httpx
import pytest
from starlette.types import Message

from api.app import create_app
from tasklane.adapters.memory import MemoryTaskStore
from tasklane.errors import Unavailable
from tasklane.task import Callback, Status, Task
from tests.support.builders import a_completed_task, a_task
from tests.unit.api.conftest import Installation, an_installation, the_problem


class WatchedStore(MemoryTaskStore):
    """Tells when it has been read often enough; may refuse the next reads."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = threading.Semaphore(0)
        self.refusals = 0

    def get(self, task_ids: object) -> dict[str, Task]:
        self.reads.release()
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("not now")
        return super().get(task_ids)  # type: ignore[arg-type]

    def wait_for_reads(self, count: int) -> None:
        for _ in range(count):
            assert self.reads.acquire(timeout=10)


@contextmanager
def a_watched_installation() -> Iterator[tuple[Installation, WatchedStore]]:
    store = WatchedStore()
    with an_installation(store=store) as api:
        api.store = store
        yield api, store


@contextmanager
def waiting(api: Installation, task: Task, until: str = "change", **headers: str) -> Iterator[Future[httpx.Response]]:
    """A GET that waits for ``task``, in another thread."""
    store = api.store
    assert isinstance(store, WatchedStore)
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(
            api.client.get, f"/v1/tasks/{task.id}", params={"wait": "10", "until": until}, headers=headers
        )


def change(store: MemoryTaskStore, task: Task) -> None:
    store._tasks[task.id] = task


def test_a_wait_ends_when_the_status_changes() -> None:
    with a_watched_installation() as (api, store):
        task = a_task()
        change(store, task)
        with waiting(api, task) as answer:
            store.wait_for_reads(2)
            change(store, task.evolve(status=Status.RUNNING, run=1))

            assert answer.result(5).json()["status"] == "running"


def test_a_wait_until_the_end_outlasts_every_other_change() -> None:
    with a_watched_installation() as (api, store):
        task = a_task()
        change(store, task)
        with waiting(api, task, until="final") as answer:
            store.wait_for_reads(2)
            change(store, task.evolve(status=Status.RUNNING, run=1))
            store.wait_for_reads(2)
            assert not answer.done()
            change(store, a_completed_task(id=task.id))

            assert answer.result(5).json()["status"] == "completed"


def test_what_a_wait_is_for_is_one_of_two_things(api: Installation) -> None:
    the_problem(api.client.get(f"/v1/tasks/{api.submitted()}?wait=1&until=tomorrow"), 400, "invalid-parameter")


def test_a_wait_with_an_etag_ends_when_anything_changes() -> None:
    with a_watched_installation() as (api, store):
        task = a_task()
        change(store, task)
        etag = api.client.get(f"/v1/tasks/{task.id}").headers["etag"]
        with waiting(api, task, **{"if-none-match": etag}) as answer:
            store.wait_for_reads(3)
            change(store, task.evolve(callback=Callback(url="https://a.example/")))

            assert answer.result(5).json()["callback"]["url"] == "https://a.example/"


def test_a_wait_outlives_a_table_that_refuses_for_a_moment() -> None:
    with a_watched_installation() as (api, store):
        task = a_task()
        change(store, task)
        with waiting(api, task) as answer:
            store.wait_for_reads(2)
            store.refusals = 1
            store.wait_for_reads(1)
            change(store, task.evolve(status=Status.RUNNING, run=1))

            assert answer.result(5).status_code == 200


def test_a_wait_for_a_final_task_ends_at_once(api: Installation) -> None:
    path = f"/v1/tasks/{api.submitted()}"
    api.work()
    etag = api.client.get(path).headers["etag"]

    begun = time.monotonic()
    answers = [api.client.get(path, params={"wait": "20"}, headers={"if-none-match": tag}) for tag in ("", etag)]

    assert [answer.status_code for answer in answers] == [200, 304]
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(("known", "status"), [(False, 200), (True, 304)])
def test_a_wait_ends_with_its_time(api: Installation, known: bool, status: int) -> None:  # noqa: FBT001
    path = f"/v1/tasks/{api.submitted()}"
    etag = api.client.get(path).headers["etag"]

    response = api.client.get(path, params={"wait": "0.2"}, headers={"if-none-match": etag} if known else {})

    assert response.status_code == status


def test_a_wait_sees_a_scheduled_task_become_pending(api: Installation) -> None:
    path = f"/v1/tasks/{api.submitted(delay_seconds=60)}"
    assert api.client.get(path).json()["status"] == "scheduled"
    api.clock.advance(60)

    assert api.client.get(path).json()["status"] == "pending"


def test_forty_waits_hold_no_thread() -> None:
    """There are forty threads for everything that blocks; a forty-first request must not queue behind waits."""
    with a_watched_installation() as (api, store), ThreadPoolExecutor(40) as pool:
        task = a_task()
        change(store, task)
        waits = [pool.submit(api.client.get, f"/v1/tasks/{task.id}", params={"wait": "10"}) for _ in range(40)]
        store.wait_for_reads(80)

        assert api.submit().status_code == 202
        assert not any(wait.done() for wait in waits)
        change(store, task.evolve(status=Status.CANCELLED))
        assert {wait.result(5).json()["status"] for wait in waits} == {"cancelled"}


def test_a_wait_ends_when_the_caller_goes_away(api: Installation) -> None:
    task_id = api.submitted()
    scope = {
        "type": "http",
        "method": "GET",
        "path": f"/v1/tasks/{task_id}",
        "query_string": b"wait=20",
        "headers": [],
        "root_path": "",
        "scheme": "http",
        "http_version": "1.1",
    }
    sent: list[Message] = []
    received = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Message:
        return next(received, {"type": "http.disconnect"})

    async def send(message: Message) -> None:
        sent.append(message)

    async def ask() -> None:
        with anyio.fail_after(5):
            await create_app(api.services)(scope, receive, send)

    anyio.run(ask)
    assert sent == []
