"""What the demonstration draws."""

from random import Random

import httpx
import pytest

from infra.cli.demo import plan
from tasklane.registry import load_handlers
from tests.unit.cli.conftest import Shell
from tests.unit.cli.demo.conftest import URL


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
