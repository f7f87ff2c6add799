"""The sweeper's entry point: a schedule in, what it did out."""

from collections.abc import Callable
from typing import Any

import pytest

from infra.local.engine import free_port
from sweeper.entrypoint import handler, sweep
from tasklane import observability
from tasklane.errors import SweepFailed, Unavailable
from tests.entrypoints.conftest import logged, metrics
from tests.support.aws_lambda import LambdaContext
from tests.support.builders import NOW, a_running_task, a_task
from tests.support.installation import Installation

Printed = Callable[[], list[dict[str, Any]]]

NOTHING = {"seen": 0, "changed": 0, "sent": 0, "failed": 0, "complete": True}
SCHEDULED = {
    # https://docs.aws.amazon.com/lambda/latest/dg/with-eventbridge-scheduler.html
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.scheduler",
    "time": "2025-06-15T15:06:40Z",
    "detail": {},
}


def test_what_is_due_is_looked_after_and_counted(home: Installation, printed: Printed) -> None:
    observability.get_logger()
    lost = a_running_task(due_at=NOW, lease_until=NOW - 60_000)
    home.store.put([a_task(due_at=NOW), a_task(due_at=NOW), lost])

    answer = sweep(SCHEDULED, LambdaContext(seconds=60), home.services)

    assert answer == {"seen": 3, "changed": 3, "sent": 3, "failed": 0, "complete": True}
    lines = printed()
    assert metrics(lines) == {"SweepSeen": 3, "SweepChanged": 3, "SweepSent": 3}
    assert [line["task_id"] for line in logged(lines, "attempt_lost")] == [lost.id]
    (swept,) = logged(lines, "swept")
    assert (swept["seen"], swept["complete"]) == (3, True)


def test_a_sweep_that_finds_nothing_says_nothing(home: Installation, printed: Printed) -> None:
    observability.get_logger()

    answer = sweep(SCHEDULED, LambdaContext(seconds=60), home.services)

    assert (answer["seen"], printed()) == (0, [])


def test_a_sweep_that_cannot_look_after_everything_fails_when_the_rest_is_swept(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the alarm rings: a sweeper that can sweep nothing must not look healthy."""
    task = a_task(due_at=NOW)
    home.store.put([task])
    real, silent = home.store.due, home.store.shards[0]

    def due(shard: str, until: int, limit: int) -> list[str]:
        if shard == silent:
            raise Unavailable("throttled")
        return [*real(shard, until, limit), *real(silent, until, limit)]

    monkeypatch.setattr(home.store, "due", due)

    with pytest.raises(SweepFailed, match="1 shards or tasks"):
        sweep(SCHEDULED, LambdaContext(seconds=60), home.services)

    assert home.task(task).sends == 1


def test_a_sweep_without_time_is_not_complete(home: Installation) -> None:
    assert not sweep(SCHEDULED, LambdaContext(seconds=5), home.services)["complete"]


def test_the_handler_gets_its_services_from_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")

    assert handler(SCHEDULED, LambdaContext(seconds=5)) == NOTHING | {"complete": False}
