"""Every task store keeps every field as it was given."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasklane.ports import Change, TaskStore
from tasklane.task import Document, Status, Task
from tests.contract.conftest import kept, stored
from tests.support.builders import a_completed_task, a_document, a_running_task, a_task, a_task_with_every_field


def test_every_field_of_a_task_is_kept(store: TaskStore) -> None:
    task = a_task_with_every_field()
    plain = a_task()
    assert [n for n in Task.__slots__ if getattr(task, n) == getattr(plain, n)] == [], "the builder leaves a default"

    kept(store, task)

    assert stored(store, task) == task
    assert store.get([task.id, plain.id]) == {task.id: task}


def test_a_change_writes_every_field(store: TaskStore) -> None:
    before = a_running_task()
    kept(store, before)
    after = a_task_with_every_field(id=before.id)

    assert store.save([Change(before=before, after=after, unchanged=("status",))]) == [True]

    fixed_at_creation = {"type": before.type, "created_at": before.created_at, "tenant": before.tenant}
    assert stored(store, before).evolve(**fixed_at_creation) == after.evolve(**fixed_at_creation)


def test_a_change_may_take_every_optional_field_away(store: TaskStore) -> None:
    before = a_task_with_every_field(status=Status.RUNNING)
    kept(store, before)
    bare = a_running_task(id=before.id, run=before.run, payload=before.payload)

    assert store.save([Change(before=before, after=bare)]) == [True]
    assert stored(store, before) == bare


_json_text = st.text(alphabet=st.characters(exclude_categories=["Cs"])).map(lambda text: f'"{text}"')


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payload=_json_text, result=st.integers(1, 400).flatmap(lambda n: _json_text.map(lambda text: text * n)))
def test_documents_come_back_as_they_were(store: TaskStore, payload: str, result: str) -> None:
    task = a_completed_task(payload=a_document(payload), result=a_document(result[:4000]))
    kept(store, task)

    assert stored(store, task) == task


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('""', id="empty"),
        pytest.param('"' + "a" * 254 + '"', id="at the size from which it is deflated"),
        pytest.param('"' + "🦊" * 900 + '"', id="emoji, deflated"),
        pytest.param('"' + "x" * 4094 + '"', id="the largest that is inline"),
        pytest.param(
            '"' + "".join(chr(0x4E00 + (n * 7919) % 20_000) for n in range(1300)) + '"', id="barely deflatable"
        ),
        pytest.param('"\\u0000\\ud800"', id="escapes"),
    ],
)
def test_a_document_of_any_kind_comes_back(store: TaskStore, text: str) -> None:
    task = a_completed_task(payload=a_document(text), result=a_document(text))
    kept(store, task)

    assert stored(store, task) == task


def test_a_document_kept_elsewhere_comes_back_as_its_key_and_size(store: TaskStore) -> None:
    elsewhere = Document(text=None, size=5_000_000, blob_key="t/payload-1")
    task = a_task(payload=elsewhere)
    kept(store, task)

    assert stored(store, task).payload == elsewhere
