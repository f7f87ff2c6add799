"""The handlers that come with Tasklane."""

import hashlib
from typing import Any

import pytest

from tasklane.errors import AddressRefused, InvalidPayload, Unavailable
from tasklane.ports import HttpResponse
from tasklane.registry import load_handlers
from tasklane.task import Status, Task
from tests.support.installation import Installation, an_installation
from tests.unit.handlers.conftest import ran


def test_echo_gives_back_what_it_got(home: Installation) -> None:
    payload = {"text": "ünï 🦊", "list": [1, None, {"a": 0.5}]}

    assert home.result(ran(home, "echo", payload)) == payload


@pytest.mark.parametrize(("n", "number"), [(0, 0), (1, 1), (2, 1), (10, 55), (100, 354_224_848_179_261_915_075)])
def test_fibonacci_gives_the_nth_number(home: Installation, n: int, number: int) -> None:
    assert home.result(ran(home, "FibonacciTask", {"n": n})) == {"result": number}


@pytest.mark.parametrize("payload", [{}, {"n": -1}, {"n": 101}, {"n": "10"}, {"n": 1.5}, {"n": True}, {"n": 1, "m": 2}])
def test_fibonacci_refuses_any_other_n_at_once(home: Installation, payload: dict[str, Any]) -> None:
    with pytest.raises(InvalidPayload):
        home.submit("FibonacciTask", payload)


def test_sleep_sleeps_and_reports_progress(home: Installation) -> None:
    task = ran(home, "sleep", {"seconds": 0.02})

    assert home.result(task)["slept_seconds"] >= 0.02
    assert task.progress is not None
    assert home.result(ran(home, "sleep", {"seconds": 0})) == {"slept_seconds": pytest.approx(0, abs=0.5)}


@pytest.mark.parametrize("seconds", [-1, 901, "NaN", "soon", None])
def test_sleep_refuses_what_is_no_time(home: Installation, seconds: Any) -> None:
    with pytest.raises(InvalidPayload):
        home.submit("sleep", {"seconds": seconds})


def fetching(answer: HttpResponse | Exception, url: str = "https://example.com/a") -> tuple[Installation, Task]:
    def give(_: str) -> HttpResponse:
        if isinstance(answer, Exception):
            raise answer
        return answer

    home = an_installation(registry=load_handlers(), answer=give)
    return home, ran(home, "fetch_url", {"url": url})


@pytest.mark.parametrize("status", [200, 204, 404])
def test_fetch_url_keeps_what_it_got_and_tells_its_digest(status: int) -> None:
    home, task = fetching(HttpResponse(status_code=status, headers={"content-type": "image/png"}, body=b"\x89PNG"))

    result = home.result(task)
    assert (result["status"], result["length"], result["type"]) == (status, 4, "image/png")
    assert result["sha256"] == hashlib.sha256(b"\x89PNG").hexdigest()
    assert home.blobs.get(result["content_key"]) == b"\x89PNG"
    assert task.has_blobs, "so that it is removed with its task"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_fetch_url_comes_again_where_the_server_is_busy(status: int) -> None:
    _, task = fetching(HttpResponse(status_code=status, headers={}, body=b""))

    assert task.status is Status.SCHEDULED
    assert task.error is not None
    assert task.error.type == "ServerBusy"


@pytest.mark.parametrize(
    ("answer", "url", "status"),
    [
        (AddressRefused("not a public address"), "http://10.0.0.1/", Status.FAILED),
        (HttpResponse(status_code=200, headers={}, body=b""), "https://user:pw@example.com/", Status.FAILED),
        (HttpResponse(status_code=200, headers={}, body=b"x" * (33 * 1024 * 1024)), "https://e.org/", Status.FAILED),
        (Unavailable("no answer"), "https://example.com/", Status.SCHEDULED),
    ],
)
def test_fetch_url_gives_up_only_where_nothing_else_can_come(answer: Any, url: str, status: Status) -> None:
    _, task = fetching(answer, url)

    assert task.status is status


@pytest.mark.parametrize("url", ["", "example.com", "ftp://example.com/", "file:///etc/passwd"])
def test_fetch_url_refuses_what_is_no_http_url(home: Installation, url: str) -> None:
    with pytest.raises(InvalidPayload):
        home.submit("fetch_url", {"url": url})
