"""Commands about the tasks there are."""

import io
from typing import Any

import pytest

from tests.support.builders import a_running_task
from tests.unit.cli.conftest import Shell


def submitted(shell: Shell, count: int, **body: Any) -> list[str]:
    ids = []
    for _ in range(count):
        shell.api.clock.advance(1)
        ids.append(shell.api.submitted(**body))
    return ids


def shown(out: str) -> list[str]:
    """The first column, without its header."""
    return [line.split()[0] for line in out.splitlines()[1:]]


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


def test_the_newest_tasks_are_shown(shell: Shell) -> None:
    ids = submitted(shell, 12)

    assert shown(shell.ok("show", "3").out) == ids[:-4:-1]
    assert shown(shell.ok("show").out) == ids[:1:-1]
    assert shown(shell.ok("show", "2", "--oldest").out) == ids[:2]
    assert [task["id"] for task in shell.ok("show", "100", "--json").json["tasks"]] == ids[::-1]


def test_a_table_has_every_column_in_every_row(shell: Shell) -> None:
    submitted(shell, 1, type="count", payload={"n": 1})
    shell.api.work()
    submitted(shell, 1, delay_seconds=60)

    header, later, done = (line.split("  ") for line in shell.ok("show").out.splitlines())

    cells = [[cell.strip() for cell in row if cell.strip()] for row in (header, later, done)]
    assert cells[0] == ["ID", "TYPE", "STATUS", "PRIORITY", "ATTEMPT", "CREATED", "WAITED", "IN ALL"]
    assert cells[1][1:5] + cells[1][6:] == ["echo", "scheduled", "3", "0", "-", "-"]
    assert cells[2][1:5] + cells[2][6:] == ["count", "completed", "2", "1", "0.000 s", "0.000 s"]


def test_tasks_are_shown_by_status_type_and_label(shell: Shell) -> None:
    [plain] = submitted(shell, 1)
    [labelled] = submitted(shell, 1, labels={"order": "47=11"})
    [count] = submitted(shell, 1, type="count", payload={"n": 1})
    shell.api.client.post(f"/v1/tasks/{plain}/cancel")

    assert shown(shell.ok("show", "--status", "cancelled").out) == [plain]
    assert shown(shell.ok("show", "--type", "count").out) == [count]
    assert shown(shell.ok("show", "--label", "order=47=11").out) == [labelled]
    assert shell.ok("show", "--label", "order=4").out == "No tasks.\n"
    assert "status" in shell.refused("show", "--status", "done")


@pytest.mark.parametrize("label", ["a", "", "=b"])
@pytest.mark.parametrize("words", [["show", "3"], ["submit", "echo"]])
def test_what_is_no_label_is_told_how_one_is_written(shell: Shell, words: list[str], label: str) -> None:
    assert shell.refused(*words, "--label", label, code=2) == f"The label {label!r} is not KEY=VALUE."


def test_more_tasks_than_a_page_has_are_shown(shell: Shell) -> None:
    ids = submitted(shell, 130)

    assert shown(shell.ok("show", "120").out) == ids[:-121:-1]
    first, second = shell.transport.requests  # type: ignore[attr-defined]
    assert first == "GET /v1/tasks?order=newest&limit=100"
    assert second.startswith("GET /v1/tasks?order=newest&limit=20&cursor=")


def test_what_is_looked_for_is_written_as_a_signature_wants_it(shell: Shell) -> None:
    shell.ok("show", "--label", "a b=c+d/ü&e")

    assert shell.transport.requests == [  # type: ignore[attr-defined]
        "GET /v1/tasks?order=newest&label=a%20b%3Ac%2Bd%2F%C3%BC%26e&limit=10"
    ]


def test_the_oldest_tasks_are_removed_and_counted(shell: Shell) -> None:
    ids = submitted(shell, 130)

    assert shell.ok("clear", "110", "--yes").out == "Removed 110 tasks.\n"
    assert shown(shell.ok("show", "100").out) == ids[:109:-1]
    assert shell.ok("clear", "1000", "-y", "--json").json == {"removed": 20, "gone": 0, "left": []}
    assert shell.ok("clear", "1", "--yes").out == "Removed 0 tasks.\n"
    assert shell.ok("clear", "1").out == "Removed 0 tasks.\n", "there is nothing to ask about"


def test_a_task_that_runs_is_left_alone_and_counted(shell: Shell) -> None:
    submitted(shell, 1)
    running = a_running_task()
    shell.api.store.put([running])

    assert shell.ok("clear", "2", "--yes").out == "Removed 1 task; left 1 alone (running).\n"
    assert shown(shell.ok("show").out) == [running.id]


@pytest.mark.parametrize(("typed", "left"), [("y\n", 1), ("n\n", 3), ("\n", 3), ("", 3)])
def test_a_person_is_asked(shell: Shell, monkeypatch: pytest.MonkeyPatch, typed: str, left: int) -> None:
    submitted(shell, 3)
    monkeypatch.setattr("sys.stdin", Terminal(typed))

    done = shell.run("clear", "2")

    assert "Remove the 2 tasks created from 2025-" in done.err
    assert done.code == (0 if left == 1 else 1)
    assert ("Nothing was done." in done.err) == (left == 3)
    assert len(shown(shell.ok("show").out)) == left


def test_ctrl_c_is_no_answer(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> str:
        raise KeyboardInterrupt

    submitted(shell, 3)
    terminal = Terminal()
    monkeypatch.setattr(terminal, "readline", interrupted)
    monkeypatch.setattr("sys.stdin", terminal)

    done = shell.run("clear", "2")

    assert (done.code, done.err.splitlines()[-1]) == (130, "Interrupted.")
    assert len(shown(shell.ok("show").out)) == 3


def test_where_nobody_can_be_asked_nothing_is_removed(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted(shell, 1)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))

    assert shell.refused("clear", "5", code=2).startswith("1 task would be removed (created from ")
    assert len(shown(shell.ok("show").out)) == 1
