"""How the demonstration follows its tasks: few requests, and no task overlooked."""

import io
import time
from random import Random
from typing import Any

import httpx
import pytest
from rich.console import Console

from infra.cli.client import Api
from infra.cli.demo import command, plan, watch
from infra.cli.errors import CommandError
from tests.unit.cli.conftest import Shell
from tests.unit.cli.demo.conftest import URL, Worker


def a_demonstration(shell: Shell, count: int) -> watch.Demonstration:
    planned = [plan.Planned(type="echo", payload={"n": n}, priority=1 + n % 5) for n in range(count)]
    return watch.Demonstration(Api(URL, shell.transport), planned, "test")


def submit_all(shell: Shell, demonstration: watch.Demonstration, count: int) -> None:
    with demonstration.submitting():
        end = time.monotonic() + 30
        while demonstration._accepted < count:
            assert time.monotonic() < end
            time.sleep(0.01)


def test_pages_whose_tasks_have_ended_are_not_asked_for_again(shell: Shell) -> None:
    worker = Worker(shell, works=lambda: False)
    shell.answering(worker)
    demonstration = a_demonstration(shell, 250)
    submit_all(shell, demonstration, 250)
    assert demonstration.look().statuses == {"pending": 250}
    assert len(worker.lists) == 3
    for _ in range(20):
        shell.api.work()

    for expected in (3, 1):
        worker.lists.clear()
        assert demonstration.look().ended == 250
        assert len(worker.lists) == expected


def test_a_list_that_lags_behind_hides_no_task_for_ever(shell: Shell) -> None:
    real, hidden = shell.transport, {"n": 150}

    def lagging(request: httpx.Request) -> httpx.Response:
        response = real.handle_request(request)
        if request.method != "GET":
            return response
        page = response.json()
        page["tasks"] = [task for task in page["tasks"] if task["payload"]["n"] != hidden["n"]]
        return httpx.Response(200, json=page)

    shell.answering(lagging)
    demonstration = a_demonstration(shell, 250)
    submit_all(shell, demonstration, 250)
    for _ in range(20):
        shell.api.work()
    for _ in range(3):
        assert demonstration.look().ended == 249

    hidden["n"] = -1
    assert demonstration.look().ended == 250


def test_it_does_not_look_through_everything_that_there_ever_was(shell: Shell) -> None:
    pages = []

    def endless(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(202, json={"id": "x"})
        pages.append(request)
        return httpx.Response(200, json={"tasks": [], "next_cursor": f"c{len(pages)}"})

    shell.answering(endless)
    demonstration = a_demonstration(shell, 1)
    submit_all(shell, demonstration, 1)

    assert demonstration.look().ended == 0
    assert len(pages) == watch.EMPTY_PAGES


def test_what_is_not_submitted_at_the_end_never_is(shell: Shell) -> None:
    demonstration = a_demonstration(shell, 5000)

    with demonstration.submitting():
        pass

    before = len(shell.transport.requests)  # type: ignore[attr-defined]
    assert before < 100
    time.sleep(0.2)
    assert len(shell.transport.requests) == before  # type: ignore[attr-defined]


def test_workers_that_have_all_ended_are_noticed(shell: Shell, makers: dict[str, Any]) -> None:
    shell.answering(Worker(shell, works=lambda: False))

    def nobody() -> None:
        raise CommandError("Every worker has ended.")

    with Api(URL, shell.transport) as api, pytest.raises(CommandError, match="Every worker"):
        command._run(api, Console(file=io.StringIO()), 3, Random(1), 30, nobody)
