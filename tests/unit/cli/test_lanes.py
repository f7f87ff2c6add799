"""Commands about lanes and task types."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.unit.cli.conftest import Shell


def test_the_lanes_are_shown_with_what_is_paused(shell: Shell) -> None:
    shell.api.submitted(priority=4)
    shell.api.submitted(priority=4, delay_seconds=60)
    shell.ok("lanes", "pause", "4")

    lines = [line.split() for line in shell.ok("lanes", "list").out.splitlines()]

    assert [line[0] for line in lines] == ["LANE", "5", "4", "3", "2", "1", "callbacks"]
    assert lines[2] == ["4", "1", "1", "0", "0", "2025-06-15", "15:06:40Z"]
    assert lines[1] == ["5", "0", "0", "0", "0", "-"]
    found = shell.ok("lanes", "list", "--json").json
    assert (found["lanes"][1]["waiting"], found["lanes"][1]["paused_since"]) == (1, "2025-06-15T15:06:40.000Z")


@pytest.mark.parametrize(("words", "name"), [(["lanes", "3"], "Lane 3"), (["types", "echo"], "echo")])
def test_what_is_paused_goes_on_when_it_is_told_to(shell: Shell, words: list[str], name: str) -> None:
    group, target = words

    assert shell.ok(group, "pause", target).out == f"{name} is paused since 2025-06-15 15:06:40Z.\n"
    shell.api.submitted()
    shell.api.work()
    assert shell.ok(group, "resume", target).out == f"{name} goes on; 1 task that was held back sent.\n"
    assert shell.ok(group, "resume", target).out == f"{name} goes on; 0 tasks that were held back sent.\n"
    assert shell.ok(group, "pause", target, "--json").json["target"].endswith(target)
    assert shell.ok(group, "resume", target, "--json").json["released"] == 0


def test_more_that_follow_are_said(shell: Shell) -> None:
    shell.answering(lambda _: httpx.Response(200, json={"target": "lane:3", "released": 5000, "more": True}))

    assert shell.ok("lanes", "resume", "3").out == "Lane 3 goes on; 5000 tasks that were held back sent, more follow.\n"


def test_the_task_types_are_shown(shell: Shell) -> None:
    shell.ok("types", "pause", "echo")

    lines = [line.split() for line in shell.ok("types", "list").out.splitlines()]

    assert lines[0] == ["TYPE", "PRIORITY", "TIMEOUT", "ATTEMPTS", "PAUSED", "SINCE", "DESCRIPTION"]
    assert lines[1] == ["count", "2", "30", "s", "5", "-", "Count."]
    assert lines[2][5:7] == ["2025-06-15", "15:06:40Z"]
    found = shell.ok("types", "list", "--json").json
    assert [one["name"] for one in found["task_types"]] == ["count", "echo", "resize"]
    assert list(found["paused"]) == ["type:echo"]


def test_every_page_of_task_types_is_shown(shell: Shell) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path.decode())
        if request.url.path == "/v1/pauses":
            return httpx.Response(200, json={"pauses": []})
        first = "after" not in request.url.params
        type_ = {"name": "a b" if first else "c"}
        return httpx.Response(200, json={"task_types": [type_], "next_after": type_["name"] if first else None})

    shell.answering(answer)

    assert shell.ok("types", "list", "--json").json["task_types"] == [{"name": "a b"}, {"name": "c"}]
    assert asked == ["/v1/task-types", "/v1/task-types?after=a%20b", "/v1/pauses"]


@pytest.mark.parametrize("name", ["unknown", "a/b", "ü ?#%2F"])
def test_a_type_that_is_not_there_cannot_be_paused(shell: Shell, name: str) -> None:
    assert shell.refused("types", "pause", name).startswith("No task type has this name")


@pytest.mark.parametrize("lane", ["0", "6", "high"])
@pytest.mark.parametrize("command", ["pause", "resume", "redrive"])
def test_a_lane_that_is_not_there(shell: Shell, command: str, lane: str) -> None:
    said = shell.refused("lanes", command, lane, code=2)

    assert said.startswith(f"Invalid value for 'LANE': '{lane}' is none of the lanes 1 to 5")
    assert said.endswith(f"See `tasklane lanes {command} --help`.")


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_callbacks_are_a_lane_for_a_redrive_only(shell: Shell, command: str) -> None:
    assert shell.refused("lanes", command, "callbacks", code=2).startswith(
        "Invalid value for 'LANE': callbacks can only be redriven; the lanes 1 to 5 can be paused."
    )


@pytest.mark.parametrize(("lane", "path"), [("3", "/v1/lanes/3/redrive"), ("callbacks", "/v1/callbacks/redrive")])
def test_a_redrive_prints_what_the_api_says(shell: Shell, lane: str, path: str) -> None:
    assert shell.ok("lanes", "redrive", lane, "--json").json == shell.api.client.post(path).json()


def answers(*reports: dict[str, Any]) -> tuple[list[str], Callable[[httpx.Request], httpx.Response]]:
    """Redrives that end like this, one after the other; what was asked for."""
    asked, left = list[str](), list(reports)
    nothing = {"sent": 0, "reopened": 0, "removed": {}, "poison": 0, "unanswered": 0, "more": False}

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path.decode())
        return httpx.Response(200, json=nothing | left.pop(0))

    return asked, answer


def test_a_redrive_goes_on_while_there_is_more(shell: Shell) -> None:
    asked, answer = answers(
        {"sent": 100, "removed": {"completed": 3}, "poison": 2, "more": True},
        {"sent": 5, "reopened": 1, "removed": {"completed": 1, "unknown": 1}, "poison": 2, "unanswered": 1},
    )
    shell.answering(answer)

    assert shell.ok("lanes", "redrive", "3", "--retry-failed").out == (
        "Dead letters: 105 sent again; 1 failed, begin again; 5 removed (4 completed, 1 unknown); "
        "2 left (no messages of Tasklane's); 1 left (not answered for now).\n"
    )
    assert asked == ["/v1/lanes/3/redrive?limit=1000&failed=retry", "/v1/lanes/3/redrive?limit=897&failed=retry"]


def test_the_answers_of_a_redrive_are_put_together_as_one(shell: Shell) -> None:
    _, answer = answers(
        {"lane": 3, "sent": 100, "removed": {"completed": 3}, "poison": 2, "more": True},
        {"lane": 3, "sent": 5, "reopened": 1, "removed": {"completed": 1, "unknown": 1}, "poison": 2, "unanswered": 1},
    )
    shell.answering(answer)

    assert shell.ok("lanes", "redrive", "3", "--json").json == {
        "lane": 3,
        "sent": 105,
        "reopened": 1,
        "removed": {"completed": 4, "unknown": 1},
        "poison": 2,
        "unanswered": 1,
        "more": False,
    }


def test_a_redrive_that_gets_nowhere_ends(shell: Shell) -> None:
    asked, answer = answers({"unanswered": 10, "more": True})
    shell.answering(answer)

    done = shell.ok("lanes", "redrive", "callbacks", "--json", "--retry-failed").json

    assert (done["unanswered"], done["more"], asked) == (10, True, ["/v1/callbacks/redrive?limit=1000"])


def test_a_redrive_ends_at_its_limit(shell: Shell) -> None:
    asked, answer = answers({"sent": 6, "more": True}, {"sent": 4, "more": True})
    shell.answering(answer)

    assert shell.ok("lanes", "redrive", "1", "--limit", "10").out == "Dead letters: 10 sent again; there are more.\n"
    assert len(asked) == 2


def test_a_type_for_external_workers_is_declared_and_changed(shell: Shell) -> None:
    said = shell.ok("types", "declare", "shrink", "--priority", "4", "--timeout", "90", "--max-attempts", "7").out
    assert said == "shrink is declared: external workers fetch its tasks.\n"

    declared = shell.ok("types", "declare", "shrink", "--max-attempts", "2", "--json").json

    assert (declared["external"], declared["retry"]["max_attempts"]) == (True, 2)
    assert "shrink" in shell.ok("types", "list").out


def test_a_type_with_a_handler_is_not_declared(shell: Shell) -> None:
    assert shell.refused("types", "declare", "echo")
