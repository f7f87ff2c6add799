"""``GET /v1/tasks/{id}`` and the documents."""

import gzip
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
from api.views import TaskView
from tasklane.adapters.memory import MemoryTaskStore
from tasklane.errors import Unavailable
from tasklane.task import Callback, Document, Status, Task
from tests.support.builders import a_completed_task, a_document, a_task, a_task_with_every_field
from tests.unit.api.conftest import Installation, an_installation, the_problem

MEBIBYTE = 1024 * 1024


def test_a_task_shows_what_became_of_it(api: Installation) -> None:
    task_id = api.submitted(payload={"a": [1, "ü"]})
    api.work()

    task = api.client.get(f"/v1/tasks/{task_id}").json()

    assert (task["status"], task["attempt"]) == ("completed", 1)
    assert (task["payload"], task["result"]) == ({"a": [1, "ü"]}, {"a": [1, "ü"]})
    assert task["finished_at"] == "2025-06-15T15:06:40.000Z"


def test_every_field_has_the_documented_shape(api: Installation) -> None:
    task = a_task_with_every_field(result=a_document("[1]"), delete_at=None)
    api.store.put([task])

    response = api.client.get(f"/v1/tasks/{task.id}")

    shown = TaskView.model_validate_json(response.content)
    assert set(response.json()) == set(TaskView.model_fields)
    assert shown.error is not None
    assert shown.callback is not None
    assert shown.callback.history[1].error == "no answer"
    assert [attempt.number for attempt in shown.attempts] == [3, 4]


def test_text_that_is_no_unicode_does_not_make_a_task_unreadable(api: Installation) -> None:
    task = a_task(labels={"a": "\ud800"})
    api.store.put([task])

    assert api.client.get(f"/v1/tasks/{task.id}").json()["labels"] == {"a": "?"}


def test_a_task_past_its_retention_is_gone(api: Installation) -> None:
    task = a_task(delete_at=api.clock.now() // 1000)
    api.store.put([task])

    the_problem(api.client.get(f"/v1/tasks/{task.id}"), 404, "task-not-found")


def test_head_is_get_without_its_body(api: Installation) -> None:
    path = f"/v1/tasks/{api.submitted()}"

    got, head = api.client.get(path), api.client.request("HEAD", path)

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"] == got.headers["etag"]
    assert head.headers["content-length"] == str(len(got.content))


# -- ETag --------------------------------------------------------------------------------------------------------------


def test_the_etag_changes_with_the_task_and_only_then(api: Installation) -> None:
    path = f"/v1/tasks/{api.submitted()}"

    before, same = (api.client.get(path).headers["etag"] for _ in range(2))
    api.work()
    after = api.client.get(path).headers["etag"]

    assert before == same != after
    assert before.startswith('"')


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', '"other",W/{} , "more"', "*"])
def test_who_has_it_already_gets_304(api: Installation, form: str) -> None:
    path = f"/v1/tasks/{api.submitted()}"
    etag = api.client.get(path).headers["etag"]

    response = api.client.get(path, headers={"if-none-match": form.format(etag)})

    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == etag


@pytest.mark.parametrize("header", ['"other"', "", "nonsense", '"'])
def test_who_has_another_gets_it(api: Installation, header: str) -> None:
    response = api.client.get(f"/v1/tasks/{api.submitted()}", headers={"if-none-match": header})

    assert response.status_code == 200


def test_a_task_that_is_not_there_is_not_unmodified(api: Installation) -> None:
    the_problem(api.client.get("/v1/tasks/nope", headers={"if-none-match": "*"}), 404, "task-not-found")


def test_a_304_fetches_no_document(api: Installation) -> None:
    path = f"/v1/tasks/{api.submitted(payload={'a': 'x' * 50_000})}"
    etag = api.client.get(path).headers["etag"]
    api.blobs._blobs.clear()

    assert api.client.get(path, headers={"if-none-match": etag}).status_code == 304
    the_problem(api.client.get(path), 503, "unavailable")


# -- wait --------------------------------------------------------------------------------------------------------------


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


# -- documents ---------------------------------------------------------------------------------------------------------


def keep(api: Installation, payload: str, result: str | None) -> str:
    """The path of a completed task with these documents, kept in the blob store."""

    def kept(name: str, text: str) -> Document:
        api.blobs.put(name, text.encode())
        return Document(text=None, size=len(text.encode()), blob_key=name)

    task = a_task(
        status=Status.COMPLETED, payload=kept("payload", payload), result=kept("result", result) if result else None
    )
    api.store.put([task])
    return f"/v1/tasks/{task.id}"


def a_text(size: int, letter: str = "x") -> str:
    return f'"{letter * (size - 2)}"'


def test_documents_that_fit_together_are_in_the_answer(api: Installation) -> None:
    path = keep(api, a_text(3 * MEBIBYTE), a_text(2 * MEBIBYTE))

    task = api.client.get(path).json()

    assert (len(task["payload"]), len(task["result"])) == (3 * MEBIBYTE - 2, 2 * MEBIBYTE - 2)
    assert (task["payload_url"], task["result_url"]) == (None, None)


@pytest.mark.parametrize(("larger", "smaller"), [("payload", "result"), ("result", "payload")])
def test_of_documents_too_large_together_the_larger_is_elsewhere(api: Installation, larger: str, smaller: str) -> None:
    sizes = {larger: 3 * MEBIBYTE, smaller: 2 * MEBIBYTE + 1}
    path = keep(api, a_text(sizes["payload"]), a_text(sizes["result"]))

    task = api.client.get(path).json()

    assert (task[larger], task[f"{larger}_url"]) == (None, f"{path}/{larger}")
    assert (len(task[smaller]), task[f"{smaller}_url"]) == (2 * MEBIBYTE - 1, None)
    assert api.client.get(f"{path}/{larger}").text == a_text(3 * MEBIBYTE)


def test_no_answer_is_more_than_a_lambda_may_give(api: Installation) -> None:
    """A Lambda answers with the body as a JSON string, in which every quote takes two bytes."""
    quotes = "[" + ",".join(['""'] * 1_500_000) + "]"
    path = keep(api, quotes, '"small"')

    task = api.client.get(path).json()
    whole = api.client.get(task["payload_url"], headers={"accept-encoding": "gzip"})

    assert (task["payload"], task["result"]) == (None, "small")
    assert whole.headers["content-encoding"] == "gzip"
    assert whole.text == quotes


def test_a_caller_that_takes_no_gzip_gets_none(api: Installation) -> None:
    path = keep(api, '[""' + ',""' * 1_500_000 + "]", None)

    response = api.client.get(f"{path}/payload", headers={"accept-encoding": "identity"})

    assert "content-encoding" not in response.headers
    assert not response.content.startswith(gzip.compress(b"")[:2])


def test_a_payload_that_could_not_be_parsed_again_is_passed_through(api: Installation) -> None:
    deep = "[" * 900 + "]" * 900
    path = keep(api, deep, None)

    assert f'"payload":{deep},' in api.client.get(path).text
    assert api.client.get(f"{path}/payload").text == deep


@pytest.mark.parametrize("end", ["payload", "result"])
def test_a_document_that_is_missing_is_a_503(api: Installation, end: str) -> None:
    path = keep(api, a_text(9000), a_text(9000))
    api.blobs._blobs.clear()

    the_problem(api.client.get(f"{path}/{end}"), 503, "unavailable")


def test_a_task_without_result_has_none(api: Installation) -> None:
    path = f"/v1/tasks/{api.submitted(payload={'a': 1})}"

    problem = the_problem(api.client.get(f"{path}/result"), 404, "result-not-found")
    assert "pending" in problem["detail"]
    assert api.client.get(f"{path}/payload").json() == {"a": 1}
