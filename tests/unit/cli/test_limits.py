"""Commands about limits."""

import pytest

from tests.unit.cli.conftest import Shell


def test_a_limit_is_set_shown_and_removed(shell: Shell) -> None:
    options = ["--max-concurrent", "4", "--rate", "100/5m", "--burst", "3"]
    assert shell.ok("limits", "list").out == "No limits.\n"

    said = shell.ok("limits", "set", "account:42", *options).out

    assert said == "account:42 is limited to 4 at once and 100/300 s, 3 together.\n"
    shell.ok("limits", "set", "b/c ü?", "--max-concurrent", "0")
    lines = [line.split("  ") for line in shell.ok("limits", "list").out.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert cells == [
        ["KEY", "IN USE", "AT ONCE", "RATE"],
        ["account:42", "0", "4", "100/300 s, 3 together"],
        ["b/c ü?", "0", "0", "-"],
    ]
    assert shell.ok("limits", "delete", "b/c ü?").out == "b/c ü? is not limited.\n"
    assert shell.ok("limits", "delete", "b/c ü?", "--json").out == "", "the API answers with nothing"
    assert [one["key"] for one in shell.ok("limits", "list", "--json").json["limits"]] == ["account:42"]


def test_every_page_of_limits_is_shown(shell: Shell) -> None:
    for n in range(130):
        shell.api.client.request("PUT", f"/v1/limits/key {n:03}", json={"max_concurrent": n})

    assert len(shell.ok("limits", "list").out.splitlines()) == 131


@pytest.mark.parametrize(
    ("rate", "count", "seconds", "shown"),
    [
        ("20", 20, 1, "20/s"),
        ("20/s", 20, 1, "20/s"),
        ("1/0.5", 1, 0.5, "1/0.5 s"),
        ("6/1m", 6, 60, "6/m"),
        ("100/2h", 100, 7200, "100/7200 s"),
        ("1/d", 1, 86_400, "1/d"),
    ],
)
def test_a_rate_is_written_as_people_do(shell: Shell, rate: str, count: int, seconds: float, shown: str) -> None:
    assert shell.ok("limits", "set", "k", "--rate", rate).out == f"k is limited to {shown}.\n"
    [limit] = shell.ok("limits", "list", "--json").json["limits"]
    assert limit["rate"] == {"count": count, "period_seconds": seconds, "burst": 1}
    assert limit["max_concurrent"] is None, "what is set replaces what there was"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "Give --max-concurrent, --rate or both"),
        (["--burst", "3"], "Give --max-concurrent"),
        (["--max-concurrent", "1", "--burst", "3"], "--burst is about a --rate."),
        (["--rate", "fast"], "'fast' is no rate"),
        (["--rate", "20/"], "is no rate"),
        (["--rate", "-1/s"], "is no rate"),
        (["--rate", "1/1w"], "is no rate"),
    ],
)
def test_what_is_no_limit_is_refused_before_anything_is_sent(shell: Shell, options: list[str], said: str) -> None:
    assert said in shell.refused("limits", "set", "k", *options, code=2)
    assert shell.ok("limits", "list").out == "No limits.\n"


def test_a_limit_beyond_all_limits_is_refused_by_the_api(shell: Shell) -> None:
    assert "/max_concurrent" in shell.refused("limits", "set", "k", "--max-concurrent", "10000000")


@pytest.mark.parametrize("key", ["", "..", "a\nb"])
def test_what_is_no_key(shell: Shell, key: str) -> None:
    assert "is no name of anything" in shell.refused("limits", "delete", key)


def test_a_task_counts_towards_a_limit(shell: Shell) -> None:
    task = shell.ok("submit", "echo", "--throttle", "a", "--throttle", "b", "--json").json

    assert task["throttle_keys"] == ["a", "b"]
