"""The task types of the contracts."""

import hashlib
import time
from typing import Any

import pytest

from tasklane.errors import AddressRefused, InvalidPayload, MailRefused, Unavailable
from tasklane.ports import HttpResponse
from tasklane.registry import load_handlers
from tasklane.task import Status, Task
from tests.support.installation import Installation, an_installation
from tests.unit.handlers.conftest import ran


def message_of(task: Task) -> tuple[str, str]:
    assert task.error is not None
    return task.error.type, task.error.message


# -- numbers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "count"),
    [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (9, 4), (25, 9), (100, 25), (7919, 1000), (5_000_000, 348_513)],
)
def test_count_primes_counts_the_primes_up_to_n(home: Installation, n: int, count: int) -> None:
    assert home.result(ran(home, "CountPrimes", {"n": n})) == {"result": count}


def test_count_primes_agrees_with_trial_division(home: Installation) -> None:
    count = 0
    for n in range(200):
        count += n > 1 and all(n % divisor for divisor in range(2, n))
        assert home.result(ran(home, "CountPrimes", {"n": n})) == {"result": count}, n


def test_count_primes_takes_less_than_a_second_for_the_largest_n(home: Installation) -> None:
    from handlers.count_primes import CountPrimesPayload, count_primes

    begun = time.thread_time()
    count_primes(CountPrimesPayload(n=5_000_000))

    assert time.thread_time() - begun < 1, "CPU time: the machine may do other things"


@pytest.mark.parametrize(("n", "steps"), [(1, 0), (2, 1), (3, 7), (27, 111), (8_400_511, 685), (10_000_000, 145)])
def test_collatz_counts_the_steps_until_1(home: Installation, n: int, steps: int) -> None:
    assert home.result(ran(home, "CollatzTask", {"n": n})) == {"result": steps}


@pytest.mark.parametrize(
    ("kind", "n"),
    [("CountPrimes", -1), ("CountPrimes", 5_000_001), ("CollatzTask", 0), ("CollatzTask", 10_000_001)]
    + [(kind, wrong) for kind in ("CountPrimes", "CollatzTask") for wrong in ("10", 1.5, True, None)],
)
def test_a_wrong_n_is_refused_at_once(home: Installation, kind: str, n: Any) -> None:
    with pytest.raises(InvalidPayload):
        home.submit(kind, {"n": n})


@pytest.mark.parametrize(
    ("kind", "n", "result"), [("FibonacciTask", 10.0, 55), ("CountPrimes", 1e2, 25), ("CollatzTask", 27.0, 111)]
)
def test_an_integer_may_be_written_as_any_json_number(home: Installation, kind: str, n: float, result: int) -> None:
    assert home.result(ran(home, kind, {"n": n})) == {"result": result}


# -- mail --------------------------------------------------------------------------------------------------------------

MAIL = {"to": "ada+orders@example.com", "subject": "Grüße", "body": "One\nTwo"}


def test_send_email_sends_and_names_the_mail(home: Installation) -> None:
    task = ran(home, "send_email", MAIL)

    assert home.result(task) == {"message_id": "mail-1"}
    assert home.mailer.sent == [("ada+orders@example.com", "Grüße", "One\nTwo")]


def test_a_mail_that_is_refused_for_good_fails_at_its_first_attempt(home: Installation) -> None:
    home.mailer.refusal = MailRefused("Email address is not verified.")

    task = ran(home, "send_email", MAIL)

    assert (task.status, task.attempt) == (Status.FAILED, 1)
    assert message_of(task) == ("MailRefused", "Email address is not verified.")


def test_a_mail_that_is_throttled_is_sent_later(home: Installation) -> None:
    home.mailer.refusal = Unavailable("too many requests")
    task = ran(home, "send_email", MAIL)
    assert task.status is Status.SCHEDULED

    home.mailer.refusal = None
    home.clock.advance(60)
    home.work()

    assert home.task(task).status is Status.COMPLETED
    assert len(home.mailer.sent) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": ""},
        {"to": "ada"},
        {"to": "Ada <ada@example.com>"},
        {"to": "ada@example.com, bob@example.com"},
        {"to": "ada@example.com\nBcc: bob@example.com"},
        {"to": "a" * 320 + "@example.com"},
        {"subject": "Hello\r\nBcc: bob@example.com"},
        {"subject": None},
        {"body": 1},
        {"cc": "bob@example.com"},
    ],
)
def test_send_email_refuses_what_is_no_mail(home: Installation, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidPayload):
        home.submit("send_email", MAIL | wrong)


# -- greeting, download, long tasks ------------------------------------------------------------------------------------


def test_greeting_greets(home: Installation) -> None:
    assert home.result(ran(home, "greeting", {"name": "Ada"})) == "Hello, Ada!"


def downloading(answer: HttpResponse | Exception) -> tuple[Installation, Task]:
    def give(_: str) -> HttpResponse:
        if isinstance(answer, Exception):
            raise answer
        return answer

    home = an_installation(registry=load_handlers(), answer=give)
    return home, ran(home, "download", {"url": "https://example.com/a"})


def test_download_keeps_what_it_got_and_tells_length_type_and_digest() -> None:
    home, task = downloading(HttpResponse(status_code=200, headers={"content-type": "image/png"}, body=b"\x89PNG"))

    result = home.result(task)
    assert (result["length"], result["type"]) == (4, "image/png")
    assert result["digest"] == hashlib.sha256(b"\x89PNG").hexdigest()
    assert home.blobs.get(result["content_key"]) == b"\x89PNG"
    assert task.has_blobs, "so that it is removed with its task"


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (HttpResponse(status_code=404, headers={}, body=b""), Status.FAILED),
        (HttpResponse(status_code=304, headers={}, body=b""), Status.FAILED),
        (HttpResponse(status_code=200, headers={}, body=b"x" * (33 * 1024 * 1024)), Status.FAILED),
        (AddressRefused("not a public address"), Status.FAILED),
        (HttpResponse(status_code=429, headers={}, body=b""), Status.SCHEDULED),
        (HttpResponse(status_code=503, headers={}, body=b""), Status.SCHEDULED),
        (Unavailable("no answer"), Status.SCHEDULED),
    ],
)
def test_download_tries_again_only_where_something_else_may_come(answer: Any, status: Status) -> None:
    home, task = downloading(answer)

    assert task.status is status
    if status is Status.SCHEDULED:
        assert task.run_at == home.clock.now() + 10_000, "idempotent: ten seconds apart"
        assert task.max_attempts == 3


LONG = ["blocking_long_running_task", "non_blocking_long_running_task"]


@pytest.mark.parametrize("kind", LONG)
def test_a_long_task_takes_as_long_as_it_is_told_and_reports_progress(home: Installation, kind: str) -> None:
    task = ran(home, kind, {"duration": 0.02})

    assert home.result(task)["duration"] >= 0.02
    assert task.progress is not None
    assert home.result(ran(home, kind, {"duration": 0})) == {"duration": pytest.approx(0, abs=0.5)}


def test_one_long_task_holds_a_thread_and_the_other_does_not(home: Installation) -> None:
    types = home.registry.types
    assert [types[kind].is_async for kind in LONG] == [False, True]


@pytest.mark.parametrize("kind", LONG)
@pytest.mark.parametrize("duration", [-1, 841, "NaN", None])
def test_a_long_task_refuses_what_is_no_time(home: Installation, kind: str, duration: Any) -> None:
    with pytest.raises(InvalidPayload):
        home.submit(kind, {"duration": duration})


# -- the simulated job -------------------------------------------------------------------------------------------------


def test_the_job_takes_its_steps_and_gives_back_what_it_was_given(home: Installation) -> None:
    parameters = {"steps": 3, "step_seconds": 0, "anything": {"else": [1]}}

    task = ran(home, "simulated_job", {"name": "report", "parameters": parameters})

    assert home.result(task) == {"name": "report", "parameters": parameters, "steps": 3}
    assert task.progress is not None
    assert (task.progress.fraction, task.progress.message) == (1.0, "step 3 of 3")


def test_the_job_takes_its_steps_as_any_json_number(home: Installation) -> None:
    task = ran(
        home, "simulated_job", {"name": "report", "parameters": {"steps": 2.0, "step_seconds": 0, "fail_at": 3.0}}
    )

    assert home.result(task)["steps"] == 2


def test_the_job_fails_at_the_step_that_it_is_told_and_is_not_tried_again(home: Installation) -> None:
    parameters = {"steps": 4, "step_seconds": 0, "fail_at": 2}

    task = ran(home, "simulated_job", {"name": "report", "parameters": parameters})

    assert (task.status, task.attempt) == (Status.FAILED, 1)
    assert message_of(task) == ("NonRetryable", "Step 2 of 4 failed, as it was asked to.")
    assert task.progress is not None
    assert task.progress.fraction == 0.25


def test_a_job_that_outlasts_its_run_goes_on_in_the_next_where_it_was(home: Installation) -> None:
    parameters = {"steps": 3, "step_seconds": 0.01}
    task = home.submit("simulated_job", {"name": "long", "parameters": parameters})

    home.work(seconds=7)  # less a worker's reserve: too little for a step and the margin
    after_one_step = home.task(task)
    while home.task(task).status is not Status.COMPLETED:
        home.work()

    assert (after_one_step.status, after_one_step.continuations) == (Status.PENDING, 1)
    assert after_one_step.progress is not None
    assert after_one_step.progress.message == "step 1 of 3"
    assert home.result(task)["steps"] == 3
    assert home.task(task).attempt == 1, "a continuation is no attempt"


@pytest.mark.parametrize(
    "parameters",
    [
        {"steps": 0},
        {"steps": 1.5},
        {"steps": "3"},
        {"steps": 10_001},
        {"step_seconds": -1},
        {"step_seconds": 61},
        {"steps": 10_000, "step_seconds": 60},
        {"fail_at": 0},
        [],
    ],
)
def test_the_job_refuses_steps_that_make_no_sense(home: Installation, parameters: Any) -> None:
    with pytest.raises(InvalidPayload):
        home.submit("simulated_job", {"name": "report", "parameters": parameters})
