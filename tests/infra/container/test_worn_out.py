"""A worker in which too many handlers go on after their time ends itself, so that a fresh one takes its place."""

import threading

from infra.container.polling import WORN_OUT, work
from infra.container.settings import ProcessSettings
from infra.local.engine import free_port
from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tasklane.task import Status
from tests.support.installation import an_installation
from tests.support.payloads import Anything


def test_a_worker_that_is_worn_out_ends_by_itself_and_says_so() -> None:
    registry, go = Registry(), threading.Event()

    @registry.task("stuck", timeout_seconds=1, retry=RetryPolicy(max_attempts=1))
    def stuck(payload: Anything) -> None:
        assert go.wait(60)

    home = an_installation(registry=registry)
    tasks = [home.submit("stuck") for _ in range(5)]
    settings = ProcessSettings(host="127.0.0.1", port=free_port(), poll_seconds=0)

    assert work(settings, home.services, threading.Event()) == WORN_OUT
    assert {home.task(task).status for task in tasks} == {Status.FAILED}
    go.set()
