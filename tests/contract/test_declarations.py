"""What every control store promises about declared task types, and every task store about their lines."""

import pytest

from tasklane.declaration import Declaration
from tasklane.line import EVERY_PULL, pull_line
from tasklane.ports import ControlStore, TaskStore
from tasklane.task import Status, Task
from tests.contract.conftest import Adapter
from tests.support.builders import NOW, a_claim, a_task


@pytest.fixture
def control(adapter: Adapter) -> ControlStore:
    return adapter.control_store()


def waiting(store: TaskStore, task_type: str, **fields: object) -> Task:
    task = a_task(type=task_type, external=True, line=pull_line(task_type), due_at=None, **fields)
    assert store.put([task]) == [task]
    return task


def test_a_declaration_reads_as_it_was_written(control: ControlStore) -> None:
    declared = Declaration(
        name="Größe/x 🦊", priority=5, timeout_seconds=7, retry={"pauses": [1, 2.5], "max_attempts": 4}
    )

    assert control.declaration(declared.name) is None
    assert control.declare(declared, replace=True) == declared
    assert control.declaration(declared.name) == declared


def test_the_first_declaration_stands_unless_it_is_to_be_replaced(control: ControlStore) -> None:
    first, second = (Declaration(name="resize", priority=priority) for priority in (1, 2))
    control.declare(first, replace=False)

    assert control.declare(second, replace=False) == first
    assert control.declare(second, replace=True) == second
    assert control.declaration("resize") == second


def test_declarations_come_in_the_order_of_their_names(control: ControlStore) -> None:
    names = ["B", "a", "b", "ä", "🦊"]
    for name in reversed(names):
        control.declare(Declaration(name=name), replace=False)

    assert [one.name for one in control.declarations(None, 10)] == names
    assert [one.name for one in control.declarations("a", 2)] == ["b", "ä"]
    assert control.declarations("🦊", 10) == []


def test_what_waits_for_external_workers_is_found_by_its_type_and_among_all(empty_store: TaskStore) -> None:
    later = waiting(empty_store, "resize", created_at=NOW + 20)
    first = waiting(empty_store, "scan", created_at=NOW + 10)
    urgent = waiting(empty_store, "resize", created_at=NOW + 30, priority=5)

    assert empty_store.in_line(EVERY_PULL, 10) == [urgent.id, first.id, later.id]
    assert empty_store.in_line(EVERY_PULL, 1) == [urgent.id]
    assert empty_store.in_line(pull_line("resize"), 10) == [urgent.id, later.id]
    assert empty_store.in_line(pull_line("nobody"), 10) == []
    assert empty_store.get([first.id]) == {first.id: first}


def test_who_is_claimed_waits_nowhere_any_more(empty_store: TaskStore) -> None:
    task = waiting(empty_store, "resize")

    (claimed,) = empty_store.claim([a_claim(task, due_at=NOW + 90_000)])

    assert isinstance(claimed, Task)
    assert (claimed.status, claimed.line, claimed.due_at) == (Status.RUNNING, None, NOW + 90_000)
    assert empty_store.in_line(EVERY_PULL, 10) == empty_store.in_line(pull_line("resize"), 10) == []
    assert empty_store.get([task.id]) == {task.id: claimed}
