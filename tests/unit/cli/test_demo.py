"""The demonstration: what is drawn, how it is followed, what it says at the end."""

import io
import itertools
import time
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import httpx
import pytest
from rich.console import Console

from infra.cli.client import Api
from infra.cli.demo import command, plan, screen, watch
from infra.cli.demo.summary import Latency, latency, summarize
from infra.cli.errors import CommandError
from tasklane.registry import load_handlers
from tests.unit.cli.conftest import Done, Shell

URL = "http://tasklane.test"


# -- what is drawn -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", plan.MAKERS)
def test_every_payload_is_one_that_its_task_type_takes(name: str) -> None:
    task_type, random = load_handlers().types[name], Random(1)
    for _ in range(50):
        task_type.parse_payload(httpx.Request("POST", URL, json=plan.MAKERS[name][1](random)).content.decode())


def test_tasks_are_drawn_from_what_the_api_knows_and_go_down_every_lane() -> None:
    planned = plan.plan(["greeting", "CollatzTask", "unheard_of"], 200, Random(1))

    assert {one.type for one in planned} == {"greeting", "CollatzTask"}
    assert {one.priority for one in planned} == {1, 2, 3, 4, 5}
    assert planned == plan.plan(["CollatzTask", "greeting"], 200, Random(1)), "a seed draws the same again"
    assert planned != plan.plan(["CollatzTask", "greeting"], 200, Random(2))


def test_an_api_without_any_of_these_types_is_said(shell: Shell) -> None:
    assert shell.run("demo", "--url", URL).err.startswith("This API has none of the task types of the demo: Fib")


# -- following ---------------------------------------------------------------------------------------------------------


class Worker:
    """Answers as the API does, and lets a worker run what waits whenever somebody looks at the list."""

    def __init__(self, shell: Shell, *, works: Callable[[], bool] = lambda: True) -> None:
        self._real = shell.transport
        self._shell = shell
        self._works = works
        self.lists: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET" and request.url.path == "/v1/tasks":
            self.lists.append(str(request.url))
            if self._works():
                self._shell.api.clock.advance(0.5)
                self._shell.api.work()
        return self._real.handle_request(request)


@pytest.fixture
def makers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is drawn, of the types that the installation here has; a test may change it."""
    made: dict[str, Any] = {"echo": (1, lambda random: {"x": random.random()}), "count": (1, lambda _: {"n": 1})}
    monkeypatch.setattr(plan, "MAKERS", made)
    monkeypatch.setattr(command, "PAUSE_SECONDS", 0.0)
    return made


def demo(shell: Shell, *words: str) -> Done:
    return shell.run("demo", "--url", URL, *words)


def test_it_ends_when_all_tasks_are_final(shell: Shell, makers: dict[str, Any]) -> None:
    shell.answering(Worker(shell))

    done = demo(shell, "--tasks", "130", "--seed", "7")

    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == f"Submitting 130 tasks to {URL}."
    assert "130 of 130 are final (130 completed)" in done.out
    [ended] = [line for line in lines if line.startswith("130 tasks in ")]
    assert ended.endswith(" a second: 130 completed.")
    table = lines[lines.index(ended) + 2 :]
    assert table[0].split("  ")[-1].strip() == "P99"
    assert [row.split("  ")[0] for row in table[1:]] == ["all", "lane 5", "lane 4", "lane 3", "lane 2", "lane 1"]
    assert table[1].split()[1] == "130"


def test_as_json_there_is_nothing_but_the_summary(shell: Shell, makers: dict[str, Any]) -> None:
    shell.answering(Worker(shell))

    done = demo(shell, "--tasks", "20", "--json")

    summary = done.json
    assert done.code == 0
    assert (summary["tasks"], summary["statuses"]) == (20, {"completed": 20})
    assert sum(lane["tasks"] for lane in summary["lanes"].values()) == 20
    assert list(summary["lanes"]) == ["5", "4", "3", "2", "1"]
    assert summary["total_ms"]["p50"] <= summary["total_ms"]["p95"] <= summary["total_ms"]["max"]
    assert summary["per_second"] == pytest.approx(20 / summary["seconds"], rel=0.05)
    assert "Submitting 20 tasks" in done.err


def test_tasks_that_do_not_complete_are_said_and_1(shell: Shell, makers: dict[str, Any]) -> None:
    shell.answering(Worker(shell))
    cancelled: list[str] = []
    real = watch.Demonstration.look

    def cancelling(demonstration: watch.Demonstration) -> watch.State:
        if not cancelled:
            cancelled.append(shell.api.submitted(delay_seconds=3600, labels={"demo": demonstration._label}))
            demonstration._planned = [*demonstration._planned, demonstration._planned[0]]
            demonstration._wanted[3] += 1
            demonstration._accepted += 1
            shell.api.client.post(f"/v1/tasks/{cancelled[0]}/cancel")
        return real(demonstration)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(watch.Demonstration, "look", cancelling)
        done = demo(shell, "--tasks", "5")

    assert (done.code, done.err) == (1, "1 of 6 tasks did not complete.\n")
    assert "5 completed, 1 cancelled." in done.out


def test_it_gives_up_after_its_time(shell: Shell, makers: dict[str, Any]) -> None:
    shell.answering(Worker(shell, works=lambda: False))

    done = demo(shell, "--tasks", "3", "--timeout", "1")

    assert (done.code, done.err) == (1, "3 of 3 tasks were not final after 1 s.\n")


def test_a_task_that_is_refused_ends_it(shell: Shell, makers: dict[str, Any]) -> None:
    makers["count"] = (1, lambda _: {"n": 1000})
    shell.answering(Worker(shell))

    done = demo(shell, "--tasks", "50")

    assert done.code == 1
    assert done.err.startswith("The payload does not fit task type 'count': /payload/n: ")


def test_ctrl_c_says_how_far_it_was(shell: Shell, makers: dict[str, Any]) -> None:
    looks = itertools.count()

    def works() -> bool:
        if next(looks) > 3:
            raise KeyboardInterrupt
        return False

    shell.answering(Worker(shell, works=works))

    done = demo(shell, "--tasks", "5")

    assert (done.code, done.err) == (130, "Interrupted: 0 of 5 tasks were final.\n")


@pytest.mark.parametrize("option", ["--workers", "--log"])
def test_local_options_make_no_sense_elsewhere(shell: Shell, option: str) -> None:
    assert "--url names another" in shell.refused("demo", "--url", URL, option, "1", code=2)


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


# -- what is shown -----------------------------------------------------------------------------------------------------


def a_state(ended: int = 3) -> watch.State:
    return watch.State(
        wanted=Counter({5: 4, 1: 6}),
        accepted=9,
        statuses=Counter(completed=ended, pending=9 - ended),
        final=Counter({5: ended}),
    )


def a_view(status: str = "completed", priority: int = 5, waited: int = 1000, total: int = 2000) -> dict[str, Any]:
    return {
        "status": status,
        "priority": priority,
        "created_at": "2026-11-22T10:00:00.000Z",
        "finished_at": f"2026-11-22T10:00:{total / 1000:06.3f}Z",
        "timings": {"waited_ms": waited, "ran_ms": total - waited, "total_ms": total},
    }


def test_bars_show_every_lane_and_status_and_what_it_took() -> None:
    console = Console(file=io.StringIO(), width=100)

    console.print(screen.drawn(a_state(), [a_view()], 2.0))

    text = console.file.getvalue()  # type: ignore[attr-defined]
    rows = {line.split("  ")[0]: line.split()[-1] for line in text.splitlines() if line.strip()}
    assert rows["lane 5"] == "3/4"
    assert rows["lane 1"] == "0/6"
    assert (rows["completed"], rows["pending"], rows["failed"]) == ("3/10", "6/10", "0/10")
    assert "expired" not in text
    figures = "2.0 s · 9 accepted · 1.5 a second · waited p50 1.000 s p95 1.000 s · in all p50 2.000 s p95 2.000 s"
    assert figures in text


def test_a_terminal_gets_bars_that_go_at_the_end_and_a_file_gets_lines() -> None:
    for terminal, dumb, bars in ((True, False, True), (True, True, False), (False, False, False)):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
        if dumb:
            console = Console(file=io.StringIO(), force_terminal=True, width=100, _environ={"TERM": "dumb"})
        with screen.screen(console) as shown:
            shown.note("begin")
            shown.update(a_state(), [a_view()], 1.0)
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert ("━" in text) is bars
        assert ("3 of 10 are final (6 pending, 3 completed)" in text) is not bars
        assert "begin" in text


def test_lines_come_now_and_then_and_at_the_end() -> None:
    console = Console(file=io.StringIO())
    lines = screen.Lines(console)

    for elapsed in (0.0, 0.5, 1.9, 2.0, 3.0):
        lines.update(a_state(), [], elapsed)
    lines.update(a_state(10), [], 3.1)

    shown = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert [line.split(" s: ")[0].strip() for line in shown] == ["0.0", "2.0", "3.1"]


# -- the summary -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([7], Latency(p50=7, p95=7, p99=7, max=7)),
        ([3, 1, 2], Latency(p50=2, p95=3, p99=3, max=3)),
        (list(range(1, 201)), Latency(p50=100, p95=190, p99=198, max=200)),
    ],
)
def test_percentiles_are_times_that_were_measured(values: list[int], expected: Latency | None) -> None:
    assert latency(values) == expected


def test_a_summary_is_of_what_has_ended() -> None:
    views = [
        a_view(total=4000, waited=100),
        a_view(priority=1, total=2000, waited=1500),
        a_view(status="failed", priority=1, total=1000, waited=500),
        a_view(status="pending"),
    ]

    summary = summarize(views)

    assert (summary.statuses, summary.seconds, summary.per_second) == ({"completed": 2, "failed": 1}, 4.0, 0.75)
    assert summary.everything.total == Latency(p50=2000, p95=4000, p99=4000, max=4000)
    assert (summary.lanes[1].tasks, summary.lanes[1].wait) == (2, Latency(p50=500, p95=1500, p99=1500, max=1500))
    assert (summary.lanes[3].tasks, summary.lanes[3].total) == (0, None)


def test_a_summary_of_nothing() -> None:
    summary = summarize([a_view(status="running")])

    assert (summary.everything.tasks, summary.per_second, summary.as_json()["total_ms"]) == (0, 0.0, None)
