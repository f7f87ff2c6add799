"""The demonstration as a command: what it says, and with which code it ends."""

import itertools
from typing import Any

import pytest

from infra.cli.demo import watch
from tests.unit.cli.conftest import Done, Shell
from tests.unit.cli.demo.conftest import URL, Worker


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
