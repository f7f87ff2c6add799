"""Handlers that misuse their process: the other tasks go on."""

from collections.abc import Callable, Iterator

import pytest

from tests.e2e.local_run import LocalRun
from tests.faults.figures import Figures
from tests.faults.hostile import Memory, client_of, ended, hostile_run, judged, submit
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.long]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRun]:
    with hostile_run(tmp_path_factory.mktemp("handlers")) as run:
        yield run


@pytest.mark.row("leaked-threads")
def test_a_handler_that_leaves_threads_behind_wears_out_its_worker_and_nothing_else(
    run: LocalRun, record: Callable[[Figures], None]
) -> None:
    with client_of(run) as client:
        leaks = [submit(client, "leak", 300) for _ in range(6)]
        others = [submit(client, "FibonacciTask", 10) for _ in range(30)]
        tasks = ended(client, [*leaks, *others])
        wait_for(lambda: "handlers leave theirs behind" in run.output, seconds=30)
        later = ended(client, [submit(client, "leak", 0) for _ in range(10)])

    assert {task["status"] for task in (*tasks, *later)} == {"completed"}
    ended_with_threads = {task["result"] for task in tasks[: len(leaks)]}
    assert ended_with_threads.isdisjoint(task["result"] for task in later), "none of those processes goes on"
    record(judged([*tasks, *later]))


@pytest.mark.row("printing")
def test_a_handler_that_prints_megabytes_holds_nobody_up(run: LocalRun, record: Callable[[Figures], None]) -> None:
    with client_of(run) as client, Memory("infra.local", str(run.folder)) as memory:
        printing = [submit(client, "print", 20, priority=4) for _ in range(2)]
        others = [submit(client, "FibonacciTask", 10) for _ in range(30)]
        quick = ended(client, others, seconds=60)
        tasks = ended(client, printing)

    assert {task["status"] for task in (*quick, *tasks)} == {"completed"}
    assert memory.peak_mb < 1000
    record(judged([*quick, *tasks]))


@pytest.mark.row("wide-result")
def test_a_result_with_a_million_keys_ends_its_own_task_only(run: LocalRun, record: Callable[[Figures], None]) -> None:
    with client_of(run) as client:
        wide = submit(client, "wide", 1_000_000, max_attempts=2)
        narrow = submit(client, "wide", 300_000)
        others = [submit(client, "FibonacciTask", 10) for _ in range(30)]
        failed, *tasks = ended(client, [wide, narrow, *others])
        answer = client.get(f"/v1/tasks/{narrow}/result").json()

    assert (failed["status"], failed["error"]["type"]) == ("failed", "InvalidResult")
    assert {task["status"] for task in tasks} == {"completed"}
    assert len(answer) == 300_000
    record(judged([failed, *tasks]))
