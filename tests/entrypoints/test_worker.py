"""The worker's entry point: SQS records in, partial failures, metrics and log lines out."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tasklane import observability
from tasklane.execute import Execute
from tasklane.message import TaskMessage
from tasklane.starter import REPORT_RESERVE_SECONDS
from tasklane.task import Status
from tests.entrypoints.conftest import logged, metrics
from tests.support.aws_lambda import LambdaContext, sqs_event
from tests.support.installation import Installation
from tests.support.payloads import Anything
from tests.support.waiting import wait_for
from worker.entrypoint import handler, work
from worker.receipts import Receipts

Printed = Callable[[], list[dict[str, Any]]]


def bodies(home: Installation, *kinds: str) -> list[str]:
    return [TaskMessage.of(home.submit(kind, {"a": 1})).to_json() for kind in kinds]


def test_a_batch_that_was_handled_has_no_failures(home: Installation) -> None:
    answer = work(sqs_event(bodies(home, "echo", "echo")), LambdaContext(), home.services)

    assert answer == {"batchItemFailures": []}
    assert {task.status for task in home.store._tasks.values()} == {Status.COMPLETED}


def test_a_task_that_failed_is_a_message_that_was_handled(home: Installation) -> None:
    assert work(sqs_event(bodies(home, "fail")), LambdaContext(), home.services) == {"batchItemFailures": []}
    assert home.store.only().status is Status.FAILED


def test_a_poison_record_fails_alone(home: Installation, printed: Printed) -> None:
    observability.get_logger()
    good = bodies(home, "echo", "echo")

    answer = work(sqs_event([good[0], "{poison", good[1], '{"task_id": 1}']), LambdaContext(), home.services)

    assert answer == {"batchItemFailures": [{"itemIdentifier": "message-1"}, {"itemIdentifier": "message-3"}]}
    assert {task.status for task in home.store._tasks.values()} == {Status.COMPLETED}
    lines = printed()
    assert metrics(lines)["MessagesUnhandled"] == 2
    assert [line["body"] for line in logged(lines, "poison_message")] == ["{poison", '{"task_id": 1}']


def test_an_event_without_records_is_no_trouble(home: Installation) -> None:
    assert work({"Records": []}, LambdaContext(), home.services) == {"batchItemFailures": []}


def test_a_batch_of_poison_alone_does_not_raise(home: Installation) -> None:
    answer = work(sqs_event(["", "null", "[]"]), LambdaContext(), home.services)

    assert [one["itemIdentifier"] for one in answer["batchItemFailures"]] == ["message-0", "message-1", "message-2"]


def test_messages_that_could_not_be_claimed_come_again_and_are_named_by_their_own_ids(home: Installation) -> None:
    home.store.refuse("claim")

    answer = work(sqs_event(["{poison", *bodies(home, "echo", "echo")]), LambdaContext(), home.services)

    assert [one["itemIdentifier"] for one in answer["batchItemFailures"]] == ["message-0", "message-1", "message-2"]


def test_a_handler_has_no_longer_than_its_invocation_which_ends_in_time_to_report_it(home: Installation) -> None:
    release = threading.Event()

    @home.registry.task("overruns", timeout_seconds=60)
    def overruns(payload: Anything) -> None:
        release.wait(30)

    context = LambdaContext(seconds=REPORT_RESERVE_SECONDS + 0.2)
    answer = work(sqs_event(bodies(home, "overruns")), context, home.services)
    left = context.get_remaining_time_in_millis()
    release.set()

    assert answer == {"batchItemFailures": []}
    (attempt,) = home.store.only().attempts
    assert attempt.error.type == "AttemptTimedOut"
    assert left > 0


def test_what_became_of_the_tasks_is_counted(home: Installation, printed: Printed) -> None:
    event = sqs_event(bodies(home, "echo", "echo", "fail"))
    work(event, LambdaContext(), home.services)
    assert metrics(printed()) == {"TasksCompleted": 2, "TasksFailed": 1}

    work(event, LambdaContext(), home.services)
    assert metrics(printed()) == {"MessagesRefused": 3}


def test_what_could_not_be_written_is_not_counted_as_completed(
    home: Installation, printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasklane.ending.pauses_while", lambda _remaining: iter(()))
    event = sqs_event(bodies(home, "echo", "echo"))
    home.store.refuse("save", 99)

    work(event, LambdaContext(), home.services)

    assert metrics(printed()) == {"OutcomesUnwritten": 2}


def test_where_nothing_happened_nothing_is_counted(home: Installation, printed: Printed) -> None:
    home.clock.advance(-60)
    later = home.submit("echo", delay_seconds=600)
    home.clock.advance(60)
    printed()

    work(sqs_event([TaskMessage.of(later).to_json()]), LambdaContext(), home.services)

    assert metrics(printed()) == {}


def test_log_lines_are_json_that_names_task_and_action(home: Installation, printed: Printed) -> None:
    observability.get_logger()
    event = sqs_event(bodies(home, "echo", "fail"))
    ids = list(home.store._tasks)

    work(event, LambdaContext(), home.services)

    lines = printed()
    (said,) = logged(lines, "echoing")
    assert (said["message"], said["task_id"], said["task_type"], said["attempt"]) == ("I am at it.", ids[0], "echo", 1)
    (done,) = logged(lines, "task_completed")
    assert (done["level"], done["task_id"]) == ("INFO", ids[0])
    (failed,) = logged(lines, "attempt_failed")
    assert (failed["level"], failed["task_id"], failed["exception_name"]) == ("WARNING", ids[1], "NonRetryable")
    assert all(line["timestamp"].endswith(("+00:00", "Z")) for line in (said, done, failed))


def test_the_handler_gets_its_services_from_its_environment(printed: Printed) -> None:
    answer = handler(sqs_event(["{poison"]), LambdaContext(aws_request_id="request-7"))

    assert answer == {"batchItemFailures": [{"itemIdentifier": "message-0"}]}
    (line,) = logged(printed(), "poison_message")
    assert line["request_id"] == "request-7"


class Ended(BaseException):
    """In place of the process's end."""


def test_a_worn_out_worker_reports_its_batch_and_ends(
    home: Installation, printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[tuple[str, int, list[str]]] = []

    def end(reason: str, handled: Receipts, *_: Any) -> None:
        ended.append((reason, handled.lane, list(handled.handles)))
        raise Ended

    event = sqs_event([*bodies(home, "echo", "fail"), "{poison"])
    monkeypatch.setattr(Execute, "worn_out", "5 handlers go on after their time.")
    monkeypatch.setattr("worker.entrypoint.end_worn_out", end)

    with pytest.raises(Ended):
        work(event, LambdaContext(), home.services)

    handles = [record["receiptHandle"] for record in event["Records"]]
    assert ended == [("5 handlers go on after their time.", 3, handles[:2])]
    assert sorted(task.status.value for task in home.store._tasks.values()) == ["completed", "failed"]
    assert metrics(printed()) == {"TasksCompleted": 1, "TasksFailed": 1, "MessagesUnhandled": 1}


@pytest.mark.parametrize("queue", ["lane-3", "made-by-hand"])
def test_while_a_batch_runs_its_messages_are_kept_from_others(
    home: Installation, monkeypatch: pytest.MonkeyPatch, queue: str
) -> None:
    extended: list[tuple[int, list[str]]] = []

    def extend(lane: int, handles: list[str]) -> int:
        extended.append((lane, handles))
        return 5400

    monkeypatch.setattr("tasklane.visibility.HEARTBEAT_SECONDS", 0.0)
    monkeypatch.setattr("tasklane.watch.WATCH_SECONDS", 0.005)
    monkeypatch.setattr(home.queues, "extend", extend)

    @home.registry.task("waits")
    def waits(payload: Anything) -> None:
        if queue == "lane-3":
            wait_for(lambda: extended)

    event = sqs_event(bodies(home, "waits", "echo"), queue=queue)
    assert work(event, LambdaContext(), home.services) == {"batchItemFailures": []}

    handles = [record["receiptHandle"] for record in event["Records"]]
    assert extended == ([(3, handles)] if queue == "lane-3" else [])
