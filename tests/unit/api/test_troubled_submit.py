"""``POST /v1/tasks`` by whatever correlation id, over stores and queues that refuse."""

import httpx
import pytest

from tasklane.errors import Unavailable
from tasklane.message import CallbackMessage, TaskMessage
from tasklane.task import Task
from tests.unit.api.conftest import Installation, an_installation, the_problem

# -- correlation -------------------------------------------------------------------------------------------------------


def stored(api: Installation, response: httpx.Response) -> Task:
    task_id = response.json()["id"]
    return api.store.get([task_id])[task_id]


def test_the_callers_correlation_id_is_echoed_and_kept(api: Installation) -> None:
    response = api.submit(x_correlation_id="order-4711/a:b")

    assert response.headers["x-correlation-id"] == "order-4711/a:b"
    assert stored(api, response).correlation_id == "order-4711/a:b"


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\tb", "{}", "ü".encode().decode("latin-1")])
def test_an_id_that_is_no_sane_one_is_replaced(api: Installation, given: str) -> None:
    headers = [(b"x-correlation-id", given.encode("latin-1"))]

    response = api.client.post("/v1/tasks", json={"type": "echo"}, headers=headers)

    assert response.headers["x-correlation-id"] not in ("", given)
    assert stored(api, response).correlation_id is None


def test_every_answer_has_a_correlation_id_of_its_own(api: Installation) -> None:
    answers = [api.client.get(path) for path in ("/health", "/nope", "/v1/tasks/nope", "/openapi.json")]

    assert len({answer.headers["x-correlation-id"] for answer in answers}) == 4


# -- what is behind ----------------------------------------------------------------------------------------------------


class RefusingStore:
    """A table that refuses everything."""

    def put(self, tasks: list[Task]) -> list[Unavailable]:
        return [Unavailable("the table secret-table did not take the request") for _ in tasks]

    def get(self, task_ids: list[str]) -> dict[str, Task]:
        raise Unavailable("the table secret-table did not take the request")


class RefusingQueue:
    """A queue that refuses everything."""

    def send(self, messages: list[TaskMessage] | list[CallbackMessage]) -> list[Unavailable]:
        return [Unavailable("no") for _ in messages]


class BrokenStore:
    """A table whose adapter has a bug."""

    def put(self, tasks: list[Task]) -> list[Task]:
        raise ZeroDivisionError("secret-table")


def test_a_table_that_refuses_is_a_503_to_be_repeated() -> None:
    with an_installation(store=RefusingStore()) as api:
        for response in (api.submit(), api.client.get("/v1/tasks/some-id")):
            the_problem(response, 503, "unavailable")
            assert response.headers["retry-after"] == "2"
            assert "secret-table" not in response.text


def test_a_send_that_fails_does_not_lose_the_task() -> None:
    with an_installation(queue=RefusingQueue()) as api:
        assert api.submit().status_code == 202


def test_an_error_nobody_foresaw_leaks_nothing_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with an_installation(store=BrokenStore()) as api:
        response = api.submit(x_correlation_id="c-1")

    the_problem(response, 500, "internal-error")
    assert "secret-table" not in response.text
    assert "ZeroDivisionError" not in response.text
    assert "secret-table" in caplog.text
