"""A callback is owed until it is delivered or given up; whatever happens in between, it is tried again."""

import json
import threading
import urllib.request
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from tasklane.adapters.memory import StaticSigningSecrets
from tasklane.callback import INLINE_RESULT, PAUSES, CallbackTerms
from tasklane.errors import AddressRefused, ConfigurationError, NonRetryable, Unavailable
from tasklane.message import CallbackMessage
from tasklane.ports import HttpResponse
from tasklane.registry import Registry
from tasklane.task import CallbackState, Task
from tests.support.builders import NOW, OLDER_SECRET, SECRET
from tests.support.installation import CALLBACKS, Installation, an_installation
from tests.support.payloads import Anything

URL = "https://hooks.example.com/done"


class Answers:
    """What the receiver says, one after the other; the last one for ever."""

    def __init__(self, *answers: HttpResponse | Exception) -> None:
        self.left = list(answers)

    def __call__(self, url: str) -> HttpResponse:
        answer = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def status(code: int, **headers: str) -> HttpResponse:
    return HttpResponse(status_code=code, headers={k.replace("_", "-"): v for k, v in headers.items()}, body=b"")


OK = status(200)


@pytest.fixture
def registry() -> Registry:
    registry = Registry()

    @registry.task("echo")
    def echo(payload: Anything) -> Any:
        return payload.model_extra

    @registry.task("fail")
    def fail(payload: Anything) -> None:
        raise NonRetryable("no such account")

    return registry


@pytest.fixture
def receiving(registry: Registry) -> Callable[..., Installation]:
    """An installation whose receiver gives these answers."""
    return lambda *answers: an_installation(registry=registry, answer=Answers(*answers))


def ended(home: Installation, kind: str = "echo", payload: dict[str, Any] | None = None) -> Task:
    """A task that has ended and owes its callback."""
    task = home.submit(kind, payload or {"a": 1}, callback_url=URL, labels={"order": "7"})
    home.work()
    home.close()
    return task


def callback(home: Installation, task: Task) -> Any:
    return home.task(task).callback


# -- delivered ---------------------------------------------------------------------------------------------------------


def test_a_completed_task_is_told_with_its_result_and_a_signature(receiving: Callable[..., Installation]) -> None:
    home = receiving(status(204))
    task = ended(home)

    report = home.deliver()

    assert (report.delivered, report.failed, report.unhandled) == (1, 0, frozenset())
    ((url, body, headers),) = home.http.posted
    assert url == URL
    assert headers["webhook-id"] == f"{task.id}-{task.created_at}-1"
    signed_now = {**headers, "webhook-timestamp": str(NOW // 1000)}
    assert signed_now == headers
    told = json.loads(body)
    assert (told["type"], told["timestamp"]) == ("task.completed", "2025-06-15T15:06:40.000Z")
    assert (told["data"]["id"], told["data"]["status"], told["data"]["result"]) == (task.id, "completed", {"a": 1})
    assert told["data"]["labels"] == {"order": "7"}
    assert "payload" not in told["data"]
    done = home.task(task)
    assert done.callback is not None
    assert (done.callback.state, done.callback.tries, done.due_at, done.lease_id) == ("delivered", 1, None, None)
    assert [(one.number, one.status_code, one.error) for one in done.callback.history] == [(1, 204, None)]
    assert home.queues.depth(CALLBACKS) == 0


def test_the_signature_verifies_with_either_secret_while_they_rotate(registry: Registry) -> None:
    home = an_installation(registry=registry, secrets=(SECRET, OLDER_SECRET))
    ended(home)
    home.deliver()
    ((_, body, headers),) = home.http.posted

    for secret in (SECRET, OLDER_SECRET):
        webhook = Webhook(secret)
        timestamp = datetime.fromtimestamp(NOW / 1000, UTC)
        assert webhook.sign(headers["webhook-id"], timestamp, body.decode()) in headers["webhook-signature"].split()


def test_a_failed_task_is_told_with_its_error(receiving: Callable[..., Installation]) -> None:
    home = receiving(OK)
    ended(home, "fail")

    home.deliver()

    told = json.loads(home.http.posted[0][1])
    assert told["type"] == "task.failed"
    assert told["data"]["error"] == {"type": "NonRetryable", "message": "no such account"}
    assert told["data"]["result"] is None


def test_a_large_result_is_told_by_its_address(receiving: Callable[..., Installation]) -> None:
    home = receiving(OK)
    small = ended(home, payload={"text": "x" * (INLINE_RESULT - 100)})
    large = ended(home, payload={"text": "x" * INLINE_RESULT})

    home.deliver()

    told = {json.loads(body)["data"]["id"]: json.loads(body)["data"] for _, body, _ in home.http.posted}
    assert len(told[small.id]["result"]["text"]) == INLINE_RESULT - 100
    assert "result_url" not in told[small.id]
    assert told[large.id]["result"] is None
    assert told[large.id]["result_url_expires_at"] == "2025-06-15T16:06:40.000Z", "in an hour"
    with urllib.request.urlopen(told[large.id]["result_url"]) as answer:
        assert json.load(answer) == {"text": "x" * INLINE_RESULT}


def test_a_batch_is_delivered_side_by_side(registry: Registry) -> None:
    together = threading.Barrier(5)

    def answer(url: str) -> HttpResponse:
        together.wait(10)
        return OK

    home = an_installation(registry=registry, answer=answer)
    for _ in range(5):
        ended(home)

    assert home.deliver().delivered == 5


# -- not delivered yet -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "code", "error"),
    [
        (status(500), 500, None),
        (status(404), 404, None),
        (status(301, location="https://elsewhere.example.com/"), 301, None),
        (Unavailable("no answer from hooks.example.com"), None, "no answer from hooks.example.com"),
        (AddressRefused("not a public address"), None, "not a public address"),
        (RuntimeError("a fault of our own"), None, "a fault of our own"),
    ],
)
def test_a_callback_that_did_not_succeed_is_tried_again(
    receiving: Callable[..., Installation], answer: Any, code: int | None, error: str | None
) -> None:
    home = receiving(answer, OK)
    task = ended(home)

    report = home.deliver()

    assert (report.delivered, report.failed, report.unhandled) == (0, 1, frozenset())
    waiting = callback(home, task)
    assert (waiting.state, waiting.tries) == (CallbackState.PENDING, 1)
    assert [(one.status_code, one.error) for one in waiting.history] == [(code, error)]
    assert NOW + 5000 <= waiting.next_at <= NOW + 5500
    assert home.queues.depth(CALLBACKS) == 1
    home.clock.advance(6)
    assert home.deliver().delivered == 1
    assert [one.number for one in callback(home, task).history] == [1, 2]


def test_the_pauses_are_those_of_the_specification_and_then_it_is_given_up(
    receiving: Callable[..., Installation],
) -> None:
    home = receiving(status(503))
    task = ended(home)

    for pause in PAUSES:
        assert home.deliver().failed == 1
        next_at = callback(home, task).next_at
        assert pause * 1000 <= next_at - home.clock.now() <= pause * 1100
        while home.clock.now() < next_at:
            home.clock.advance(60)
            home.sweep()
        home.clock.advance(60)
    assert home.deliver().failed == 1

    given_up = home.task(task)
    assert given_up.callback is not None
    assert (given_up.callback.state, given_up.callback.tries) == (CallbackState.UNDELIVERED, len(PAUSES) + 1)
    assert len(given_up.callback.history) == 10
    assert (given_up.due_at, home.queues.depth(CALLBACKS)) == (None, 0)
    assert sum(PAUSES) > 3 * 86_400


def test_a_receiver_that_is_gone_for_good_ends_it(receiving: Callable[..., Installation]) -> None:
    home = receiving(status(410))
    task = ended(home)

    home.deliver()

    assert callback(home, task).state is CallbackState.UNDELIVERED
    assert (home.task(task).due_at, home.queues.depth(CALLBACKS)) == (None, 0)


@pytest.mark.parametrize(
    ("code", "own", "installation", "ends"),
    [
        (404, None, False, False),
        (404, None, True, True),
        (404, True, False, True),
        (404, False, True, False),
        (400, True, False, True),
        (499, True, False, True),
        (408, True, True, False),
        (429, True, True, False),
        (410, False, False, True),
        (500, True, True, False),
        (399, True, True, False),
    ],
)
def test_a_4xx_ends_it_where_task_or_installation_say_so(
    registry: Registry, code: int, own: Any, installation: Any, ends: Any
) -> None:
    home = an_installation(registry=registry, answer=lambda url: status(code))
    home.services.deliver_callbacks._terms = CallbackTerms(give_up_on_4xx=installation)
    task = home.submit("echo", callback_url=URL, callback_give_up_on_4xx=own)
    home.work()
    home.close()

    home.deliver()

    assert callback(home, task).state is (CallbackState.UNDELIVERED if ends else CallbackState.PENDING)
    assert [one.status_code for one in callback(home, task).history] == [code]
    assert (home.task(task).due_at is None) is ends
    if ends:
        assert [one.id for one in home.services.list_callbacks.undelivered(10, None).tasks] == [task.id]


def test_an_answer_that_was_none_says_nothing_about_us(receiving: Callable[..., Installation]) -> None:
    home = receiving(Unavailable("no answer"))
    home.services.deliver_callbacks._terms = CallbackTerms(give_up_on_4xx=True)
    task = ended(home)

    home.deliver()

    assert callback(home, task).state is CallbackState.PENDING


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 120 ", 120),
        ("0", 5),
        ("999999999999", 86_400),
        (format_datetime(datetime.fromtimestamp(NOW / 1000 + 300, UTC), usegmt=True), 300),
        (format_datetime(datetime.fromtimestamp(NOW / 1000 - 300, UTC), usegmt=True), 5),
        (format_datetime(datetime.fromtimestamp(NOW / 1000 + 10**7, UTC), usegmt=True), 86_400),
        ("soon", 5),
        ("-5", 5),
        ("1.5", 5),
        ("٣٠٠", 5),
        ("", 5),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 86_400),
    ],
)
def test_a_receiver_may_ask_for_a_longer_pause(
    receiving: Callable[..., Installation], value: str, seconds: int
) -> None:
    home = receiving(status(429, retry_after=value))
    task = ended(home)

    home.deliver()

    pause = (callback(home, task).next_at - NOW) / 1000
    assert seconds <= pause <= seconds * 1.1


def test_a_result_that_cannot_be_fetched_is_told_later(receiving: Callable[..., Installation]) -> None:
    home = receiving(OK)
    task = ended(home, payload={"text": "x" * 10_000})
    home.blobs.refuse = 1

    assert home.deliver().failed == 1
    assert (home.http.posted, callback(home, task).history[0].status_code) == ([], None)
    home.clock.advance(6)
    assert home.deliver().delivered == 1


# -- messages ----------------------------------------------------------------------------------------------------------


def test_a_doubled_message_is_not_posted_twice(receiving: Callable[..., Installation]) -> None:
    home = receiving(OK)
    task = ended(home)
    message = CallbackMessage.of(home.task(task))

    first = home.services.deliver_callbacks([message, message], lambda: 60.0)
    second = home.services.deliver_callbacks([message], lambda: 60.0)

    assert (first.delivered, second.delivered, len(home.http.posted)) == (1, 0, 1)
    assert first.unhandled == second.unhandled == frozenset()


def test_messages_about_nothing_are_handled(receiving: Callable[..., Installation]) -> None:
    home = receiving(OK)
    without = home.submit("echo")
    messages = [
        CallbackMessage(task_id="gone", number=1),
        CallbackMessage(task_id=without.id, number=1),
        CallbackMessage(task_id=ended(home).id, number=7),
    ]

    report = home.services.deliver_callbacks(messages, lambda: 60.0)

    assert (report.delivered, report.failed, report.unhandled, home.http.posted) == (0, 0, frozenset(), [])
    assert home.services.deliver_callbacks([], lambda: 60.0).unhandled == frozenset()


@pytest.mark.parametrize("method", ["get", "save"])
def test_a_table_that_does_not_answer_lets_the_message_come_again(
    receiving: Callable[..., Installation], method: str
) -> None:
    home = receiving(OK)
    task = ended(home)
    home.store.refuse(method)

    assert home.deliver().unhandled == frozenset({0})
    assert home.http.posted == []
    assert home.deliver().delivered == 1
    assert callback(home, task).tries == 1


def test_a_try_whose_outcome_could_not_be_written_is_made_again(
    receiving: Callable[..., Installation], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasklane.save.PAUSES", (0.0,))
    home = receiving(OK)
    task = ended(home)
    messages = [CallbackMessage.of(home.task(task))]
    store_save, calls = home.store.save, list[int]()

    def second_refused(changes: Any) -> Any:
        calls.append(len(changes))
        return store_save(changes) if len(calls) == 1 else [Unavailable("throttled")] * len(changes)

    monkeypatch.setattr(home.store, "save", second_refused)
    home.services.deliver_callbacks(messages, lambda: 60.0)
    monkeypatch.undo()
    assert callback(home, task).state is CallbackState.PENDING

    home.clock.advance(600)
    home.sweep()
    home.deliver()
    home.deliver()
    assert callback(home, task).state is CallbackState.DELIVERED
    assert len(home.http.posted) == 2, "at least once"


class NoSecrets:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def current(self, tenants: Collection[str]) -> dict[str, Any]:
        return dict.fromkeys(tenants, self._error)


@pytest.mark.parametrize("error", [Unavailable("throttled"), ConfigurationError("there is no signing secret")])
def test_without_a_secret_nothing_is_posted_and_everything_comes_again(registry: Registry, error: Exception) -> None:
    home = an_installation(registry=registry)
    tasks = [ended(home), ended(home)]
    deliver = home.services.deliver_callbacks
    deliver._secrets = NoSecrets(error)

    assert home.deliver().unhandled == frozenset({0, 1})
    assert home.http.posted == []
    assert [callback(home, task).tries for task in tasks] == [0, 0]
    deliver._secrets = StaticSigningSecrets(SECRET)
    assert home.deliver().delivered == 2


def test_a_tenant_signs_with_its_own_secret_and_waits_for_it_alone(registry: Registry) -> None:
    home = an_installation(registry=registry)
    for tenant in ("acme", "broken", "default"):
        home.submit("echo", tenant=tenant, callback_url=f"https://{tenant}.example.com/")
        home.work()  # one by one, so that their callbacks come in this order
    home.close()
    secrets: dict[str, Any] = {"acme": [OLDER_SECRET, SECRET], "broken": ConfigurationError("no secret")}
    home.services.deliver_callbacks._secrets = StaticSigningSecrets(SECRET, tenants=secrets)

    report = home.deliver()

    assert (report.delivered, report.unhandled) == (2, frozenset({1}))
    signed = {url: headers["webhook-signature"].split() for url, _, headers in home.http.posted}
    assert {url: len(signatures) for url, signatures in signed.items()} == {
        "https://acme.example.com/": 2,
        "https://default.example.com/": 1,
    }
    for url, body, headers in home.http.posted:
        moment = datetime.fromtimestamp(NOW / 1000, UTC)
        one = Webhook(OLDER_SECRET if "acme" in url else SECRET).sign(headers["webhook-id"], moment, body.decode())
        assert signed[url][0] == one


def test_a_doubled_message_needs_no_secret(receiving: Callable[..., Installation]) -> None:
    home = receiving(OK)
    message = CallbackMessage.of(home.task(ended(home)))
    home.deliver()
    home.services.deliver_callbacks._secrets = NoSecrets(Unavailable("throttled"))

    assert home.services.deliver_callbacks([message], lambda: 60.0).unhandled == frozenset()


def test_a_callback_gets_no_more_time_than_its_process_has(registry: Registry) -> None:
    home = an_installation(registry=registry)
    asked: list[float] = []
    post = home.http.post

    def timed(url: str, body: bytes, headers: Any, timeout_seconds: float) -> HttpResponse:
        asked.append(timeout_seconds)
        return post(url, body, headers, timeout_seconds)

    home.http.post = timed  # type: ignore[method-assign]
    for seconds in (120.0, 10.0, 0.5):
        ended(home)
        home.deliver(seconds=seconds)

    assert asked == [15.0, 8.0, 1.0]


def test_the_answer_to_a_try_that_was_made_void_meanwhile_decides_nothing(
    receiving: Callable[..., Installation],
) -> None:
    """Sent again by hand while a try is in flight: the new first try has its number, but is another."""
    home = receiving(OK)
    task = ended(home)
    answers = iter([status(410), OK])

    def answer(url: str) -> HttpResponse:
        mine = next(answers)
        if mine.status_code == 410:
            home.services.manage.redeliver(task.id)
            home.deliver()
        return mine

    home.http._answer = answer
    home.deliver()

    assert callback(home, task).state is CallbackState.DELIVERED
    assert [one.status_code for one in callback(home, task).history] == [200]
