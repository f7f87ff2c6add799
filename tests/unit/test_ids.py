"""Task ids: opaque, time-ordered, or derived from an idempotency key."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from tasklane.ids import derived_task_id, new_lease_id, new_task_id
from tests.support.builders import NOW


def test_a_new_id_is_a_uuid_of_version_7_with_its_time() -> None:
    task_id = new_task_id(NOW)
    parsed = uuid.UUID(task_id)

    assert str(parsed) == task_id
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert parsed.int >> 80 == NOW


@given(earlier=st.integers(0, 2**48 - 2), later=st.integers(1, 1_000_000))
def test_new_ids_sort_by_time(earlier: int, later: int) -> None:
    assert new_task_id(earlier) < new_task_id(min(earlier + later, 2**48 - 1))


def test_new_ids_of_one_millisecond_differ() -> None:
    assert len({new_task_id(NOW) for _ in range(2000)}) == 2000


@given(caller=st.text(), key=st.text())
def test_a_derived_id_is_a_uuid_of_version_8(caller: str, key: str) -> None:
    parsed = uuid.UUID(derived_task_id(caller, key))

    assert (parsed.version, parsed.variant) == (8, uuid.RFC_4122)


def test_the_same_caller_and_key_name_the_same_task() -> None:
    assert derived_task_id("alice", "order-1") == derived_task_id("alice", "order-1")
    others = {
        derived_task_id(*pair) for pair in (("alice", "order-2"), ("bob", "order-1"), ("alice:order", "1"), ("", ""))
    }
    assert derived_task_id("alice", "order-1") not in others
    assert len(others) == 4


@given(a=st.tuples(st.text(), st.text()), b=st.tuples(st.text(), st.text()))
def test_caller_and_key_cannot_be_shifted_into_each_other(a: tuple[str, str], b: tuple[str, str]) -> None:
    assert (derived_task_id(*a) == derived_task_id(*b)) == (a == b)


def test_lease_ids_differ() -> None:
    assert len({new_lease_id() for _ in range(500)}) == 500
    assert len(new_lease_id()) == 8
