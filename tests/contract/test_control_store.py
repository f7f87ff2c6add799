"""What every control store promises about pauses."""

import pytest

from tasklane.ports import ControlStore, Pause
from tests.contract.conftest import Adapter
from tests.support.builders import NOW


@pytest.fixture
def control(adapter: Adapter) -> ControlStore:
    return adapter.control_store()


def test_nothing_is_paused_at_first(control: ControlStore) -> None:
    assert control.pauses() == []
    assert control.end_pause("lane:3", NOW) is None


def test_a_pause_is_kept_until_it_is_forgotten(control: ControlStore) -> None:
    lane, kind = Pause(target="lane:3", since=NOW), Pause(target="type:Größe/x", since=NOW + 1)

    assert [control.put_pause(lane), control.put_pause(kind)] == [lane, kind]
    assert sorted(control.pauses(), key=lambda pause: pause.since) == [lane, kind]

    ended = control.end_pause("lane:3", NOW + 5)
    assert ended == Pause(target="lane:3", since=NOW, resumed_at=NOW + 5)
    assert control.forget_pause(ended) is True
    assert control.pauses() == [kind]


def test_who_pauses_what_is_paused_gets_the_first_pause(control: ControlStore) -> None:
    first = Pause(target="lane:1", since=NOW)
    control.put_pause(first)

    assert control.put_pause(Pause(target="lane:1", since=NOW + 9)) == first
    assert control.pauses() == [first]


def test_the_first_end_of_a_pause_counts(control: ControlStore) -> None:
    control.put_pause(Pause(target="lane:1", since=NOW))

    ended = control.end_pause("lane:1", NOW + 1)
    assert control.end_pause("lane:1", NOW + 2) == ended
    assert control.pauses() == [ended]


def test_a_pause_that_began_again_is_not_forgotten(control: ControlStore) -> None:
    control.put_pause(Pause(target="lane:1", since=NOW))
    ended = control.end_pause("lane:1", NOW + 1)
    assert ended is not None
    again = Pause(target="lane:1", since=NOW + 2)

    assert control.put_pause(again) == again
    assert control.forget_pause(ended) is False
    assert control.pauses() == [again]


def test_forgetting_twice_is_as_good_as_once(control: ControlStore) -> None:
    control.put_pause(Pause(target="lane:1", since=NOW))
    ended = control.end_pause("lane:1", NOW + 1)
    assert ended is not None

    assert [control.forget_pause(ended), control.forget_pause(ended)] == [True, True]


def test_many_pauses_are_all_there(control: ControlStore) -> None:
    pauses = [Pause(target=f"type:{n:04}-{'x' * 400}", since=NOW + n) for n in range(300)]
    for pause in pauses:
        control.put_pause(pause)

    assert sorted(control.pauses(), key=lambda pause: pause.since) == pauses
