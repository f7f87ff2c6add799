"""Commands about one task."""

import io
import json
from pathlib import Path

import pytest

from tasklane.task import Status
from tests.support.builders import a_running_task, a_task, an_error
from tests.unit.cli.conftest import Shell


def columns(out: str) -> dict[str, str]:
    """Names and values below each other."""
    return {line.split("  ", 1)[0]: line.split("  ", 1)[1].strip() for line in out.splitlines()}


def test_a_task_is_submitted_as_it_was_asked_for(shell: Shell) -> None:
    options = ["--priority", "5", "--delay", "60", "--tenant", "a", "--label", "order=47=11", "--label", "x="]

    task = shell.ok("submit", "echo", "--payload", '{"text": "naïve"}', *options, "--json").json

    assert task["payload"] == {"text": "naïve"}
    assert (task["priority"], task["status"], task["tenant"]) == (5, "scheduled", "a")
    assert task["labels"] == {"order": "47=11", "x": ""}
    assert shell.ok("get", task["id"], "--json").json["id"] == task["id"]


def test_a_task_is_shown_for_people(shell: Shell) -> None:
    task_id = columns(shell.ok("submit", "echo", "--payload", '{"a": [1]}').out)["id"]
    shell.api.clock.advance(1.25)
    shell.api.work()

    shown = columns(shell.ok("get", task_id).out)

    assert shown["status"] == "completed"
    assert (shown["payload"], shown["result"]) == ('{"a": [1]}', '{"a": [1]}')
    assert (shown["waited"], shown["in all"], shown["attempt"]) == ("1.250 s", "1.250 s", "1 of 3")
    assert "error" not in shown


def test_what_a_task_says_cannot_drive_the_terminal(shell: Shell) -> None:
    task = a_task(status=Status.FAILED, error=an_error("red \x1b[31m\nand a line\r" + "x" * 500))
    shell.api.store.put([task])

    error = columns(shell.ok("get", task.id).out)["error"]

    assert error.startswith("OSError: red [31m and a line xxx")
    assert error.endswith("x…")


@pytest.mark.parametrize("given", ["@{file}", "-"])
def test_a_payload_may_come_from_elsewhere(
    shell: Shell, given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "payload.json"
    file.write_text('{"größe": 1}')
    monkeypatch.setattr("sys.stdin", io.StringIO(file.read_text()))

    assert shell.ok("submit", "echo", "--payload", given.format(file=file), "--json").json["payload"] == {"größe": 1}


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ("{", "not JSON"),
        ("1", "neither a JSON object"),
        ('{"a": NaN}', "not JSON"),
        ('{"a": 1, "a": 2}', "a key is there twice"),
        ("@no/such/file", "cannot be read"),
    ],
)
def test_a_payload_that_cannot_be_is_refused_before_anything_is_sent(shell: Shell, payload: str, said: str) -> None:
    assert said in shell.refused("submit", "echo", "--payload", payload, code=2)
    assert shell.ok("show").out == "No tasks.\n"


def test_a_payload_for_external_workers_may_be_an_array(shell: Shell) -> None:
    assert shell.ok("submit", "resize", "--payload", '["photo.jpg", 640]', "--json").json["payload"] == [
        "photo.jpg",
        640,
    ]


def test_a_label_needs_a_value(shell: Shell) -> None:
    assert "KEY=VALUE" in shell.refused("submit", "echo", "--label", "order", code=2)


def test_with_a_key_it_stays_one_task(shell: Shell) -> None:
    ids = [shell.ok("submit", "echo", "--key", "k", "--json").json["id"] for _ in range(2)]
    others = [shell.ok("submit", "echo", "--json").json["id"] for _ in range(2)]

    assert len(set(ids)) == 1
    assert len({*ids, *others}) == 3


def test_a_problem_is_one_sentence_that_names_the_place(shell: Shell) -> None:
    said = shell.refused("submit", "count", "--payload", '{"n": 101}')

    assert said.startswith("The payload does not fit task type 'count': /payload/n: ")
    assert "100" in said
    assert "Known task types: count, echo, resize" in shell.refused("submit", "nonsense")
    assert "/priority" in shell.refused("submit", "echo", "--priority", "9")


@pytest.mark.parametrize("command", ["get", "cancel", "retry"])
@pytest.mark.parametrize("task_id", ["unknown", "ü", "a.b?c#d%2F"])
def test_a_task_that_is_not_there(shell: Shell, command: str, task_id: str) -> None:
    assert shell.refused(command, task_id).startswith("There is no task with this id")


@pytest.mark.parametrize("task_id", ["", "\n", "..", "a/b"])
def test_what_is_no_id_is_not_asked_for(shell: Shell, task_id: str) -> None:
    assert " is no " in shell.refused("get", task_id)


def test_a_task_is_waited_for(shell: Shell) -> None:
    done, failed = a_task(status=Status.COMPLETED), a_task(status=Status.FAILED, error=an_error())
    shell.api.store.put([done, failed])

    assert shell.ok("get", done.id, "--wait", "--json").json["status"] == "completed"
    ended = shell.run("get", failed.id, "--wait", "--json")
    assert (ended.code, ended.json["status"], ended.err) == (1, "failed", "The task is failed (OSError).\n")


def test_a_wait_has_an_end(shell: Shell) -> None:
    task_id = shell.api.submitted()

    waited = shell.run("get", task_id, "--wait", "--timeout", "0.3", "--json")

    assert (waited.code, waited.json["status"], waited.err) == (1, "pending", "The task is still pending.\n")
    assert shell.run("submit", "echo", "--wait", "--timeout", "0").err == "The task is still pending.\n"


def test_a_task_is_cancelled_and_begins_again(shell: Shell) -> None:
    task_id = shell.api.submitted()
    running = a_running_task()
    shell.api.store.put([running])

    assert shell.ok("cancel", task_id).out == f"{task_id} is cancelled.\n"
    assert shell.refused("cancel", task_id) == "The task is cancelled already."
    assert shell.ok("retry", task_id).out == f"{task_id} is pending.\n"
    assert "can be retried" in shell.refused("retry", task_id)
    assert shell.ok("cancel", running.id).out == f"{running.id} is running and was asked to stop.\n"
    assert shell.ok("cancel", running.id, "--json").json["cancel_requested"] is True


def test_json_is_one_line_where_no_person_reads_it(shell: Shell) -> None:
    printed = shell.ok("submit", "echo", "--payload", '{"text": "naïve"}', "--json").out

    assert len(printed.splitlines()) == 1
    assert "naïve" in printed
    assert json.loads(printed)["type"] == "echo"
