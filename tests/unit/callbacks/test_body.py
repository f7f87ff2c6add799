"""What a callback says, and that a contract may say it in its own words."""

from typing import Any

import pytest

from tasklane import callback_body
from tasklane.callback_body import Event, body_of
from tasklane.task import Progress, Status
from tests.support.builders import NOW, a_task


def an_event(**fields: Any) -> Event:
    task = a_task(status=Status.COMPLETED, finished_at=NOW, progress=Progress(fraction=1.0))
    return Event(name="completed", task=task, at=NOW, **fields)


def in_few_words(event: Event) -> dict[str, Any]:
    return {"task_id": event.task.id, "status": event.task.status.value.upper(), "result": event.result}


@pytest.mark.parametrize("contract", [None, "", "one_without_a_body_of_its_own"])
def test_a_task_is_told_in_the_standard_form(contract: str | None) -> None:
    event = an_event(result={"a": 1})

    body = body_of(event, contract, {"terse": in_few_words})

    assert (body["type"], body["timestamp"]) == ("task.completed", "2025-06-15T15:06:40.000Z")
    assert body["data"]["id"] == event.task.id
    assert body["data"]["result"] == {"a": 1}
    assert body["data"].keys().isdisjoint({"payload", "callback", "timings", "result_url"})


def test_a_contract_has_its_own_words() -> None:
    event = an_event(result=[1, 2])

    body = body_of(event, "terse", {"terse": in_few_words})

    assert body == {"task_id": event.task.id, "status": "COMPLETED", "result": [1, 2]}


def test_a_result_that_is_too_large_is_told_by_its_address() -> None:
    body = body_of(an_event(result_url="https://documents.example.com/1"), None)

    assert body["data"]["result"] is None
    assert body["data"]["result_url"] == "https://documents.example.com/1"


def test_every_builder_can_tell_every_end() -> None:
    """What stands in the table must never raise: such a callback would be tried in vain for days."""
    ends = [status for status in Status if status.final]

    for contract in (None, *callback_body.BUILDERS):
        for status in ends:
            task = a_task(status=status, finished_at=NOW)
            assert body_of(Event(name=status.value, task=task, at=NOW), contract)
