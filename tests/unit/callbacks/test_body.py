"""What a callback says, and that a contract may say it in its own words."""

import json
from typing import Any

import pytest

from tasklane import callback_body
from tasklane.callback_body import Event, body_of
from tasklane.task import Document, Progress, Status
from tests.support.builders import NOW, a_document, a_task


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


JOB = {"name": "report", "parameters": {"steps": 2}}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"result": JOB | {"steps": 2}}, JOB | {"result_data": {"steps": 2}}),
        ({"result": [1, 2]}, JOB | {"result_data": [1, 2]}),
        ({"result": None}, JOB | {"result_data": None}),
        ({"result_url": "https://documents.example.com/1"}, JOB | {"result_data": None}),
    ],
)
def test_contract_3_says_whose_result_it_is_whatever_it_is(fields: dict[str, Any], told: dict[str, Any]) -> None:
    task = a_task(status=Status.COMPLETED, finished_at=NOW, payload=a_document(json.dumps(JOB)))

    body = body_of(Event(name="completed", task=task, at=NOW, **fields), "task-execution")

    assert body["result"] == told | {"completed_at": "2025-06-15T15:06:40.000Z"}
    assert body.get("result_url") == fields.get("result_url")
    assert ("result_url" in body) is ("result_url_expires_at" in body) is ("result_url" in fields)


@pytest.mark.parametrize(
    "payload", [a_document("[1]"), a_document("null"), Document(text=None, size=9000, blob_key="k")]
)
def test_contract_3_leaves_open_what_the_record_does_not_have(payload: Document) -> None:
    task = a_task(status=Status.COMPLETED, finished_at=NOW, payload=payload)

    result = body_of(Event(name="completed", task=task, at=NOW, result=7), "task-execution")["result"]

    assert (result["name"], result["parameters"], result["result_data"]) == (None, None, 7)


def test_every_builder_can_tell_every_end() -> None:
    """What stands in the table must never raise: such a callback would be tried in vain for days."""
    ends = [status for status in Status if status.final]

    for contract in (None, *callback_body.BUILDERS):
        for status in ends:
            task = a_task(status=status, finished_at=NOW)
            assert body_of(Event(name=status.value, task=task, at=NOW), contract)
