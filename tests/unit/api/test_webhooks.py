"""What is described of callbacks is what is posted."""

from typing import Any

import pytest
from pydantic import BaseModel

from api.webhooks import CallbackBody, ToldTask
from tasklane.errors import NonRetryable
from tasklane.message import CallbackMessage
from tasklane.registry import Registry
from tasklane.task import CallbackEvent, Status, Task
from tests.support.builders import NOW, a_running_task, a_task_with_every_field
from tests.support.installation import Installation, an_installation
from tests.unit.api.conftest import Installation as Api

URL = "https://hooks.example.com/done"


class Wish(BaseModel):
    size: int = 1
    fails: bool = False


@pytest.fixture
def home() -> Installation:
    registry = Registry()

    @registry.task("it")
    def it(payload: Wish) -> str:
        if payload.fails:
            raise NonRetryable("as was asked for")
        return "x" * payload.size

    return an_installation(registry=registry)


def posted(home: Installation, count: int) -> list[CallbackBody]:
    assert home.deliver().failed == 0
    assert len(home.http.posted) == count
    return [CallbackBody.model_validate_json(body) for _, body, _ in home.http.posted]


def test_every_end_is_as_described(home: Installation) -> None:
    home.submit("it", callback_url=URL)
    home.submit("it", {"size": 70_000}, callback_url=URL)
    home.submit("it", {"fails": True}, callback_url=URL)
    home.services.manage.cancel(home.submit("it", callback_url=URL, priority=1).id)
    home.submit("it", callback_url=URL, expires_at=NOW + 1000, priority=1)
    home.work()
    home.clock.advance(2)
    home.work(lane=1)
    home.close()

    bodies = posted(home, 5)

    ends = sorted(body.type for body in bodies)
    assert ends == ["task.cancelled", "task.completed", "task.completed", "task.expired", "task.failed"]
    addresses = [body.data.model_dump().get("result_url") for body in bodies]
    assert len([one for one in addresses if one is not None]) == 1


@pytest.mark.parametrize("event", CallbackEvent)
def test_every_event_is_as_described(home: Installation, event: CallbackEvent) -> None:
    task = running_with_every_field()
    home.store.put([task])
    home.services.callback_queue.send([CallbackMessage.telling(task, event, NOW)])

    (body,) = posted(home, 1)

    assert (body.type, body.sequence) == (f"task.{event.value}", task.sequence)


def running_with_every_field() -> Task:
    lease = a_running_task()
    return a_task_with_every_field(
        status=Status.RUNNING, run_at=None, delete_at=None, lease_id=lease.lease_id, finished_at=None, result=None
    )


def test_the_document_describes_callbacks_and_nothing_that_is_not_told(api: Api) -> None:
    document: dict[str, Any] = api.client.get("/openapi.json").json()

    (operation,) = document["webhooks"]["callback"].values()
    assert {one["name"] for one in operation["parameters"]} == {"webhook-id", "webhook-timestamp", "webhook-signature"}
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/CallbackBody"}
    told = document["components"]["schemas"]["ToldTask"]["properties"]
    assert set(told) == set(ToldTask.model_fields)
    assert told.keys().isdisjoint({"payload", "payload_url", "callback", "timings", "contract"})
