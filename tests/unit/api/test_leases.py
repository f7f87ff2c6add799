"""``/v1/leases`` and declared task types, over HTTP in process."""

from threading import Timer
from typing import Any

import httpx
import pytest

from api.lease_schemas import LeasesView
from api.views import TaskTypeView, TaskView
from tasklane.declaration import Declaration
from tasklane.errors import Unavailable
from tasklane.timestamps import rfc3339
from tests.unit.api.conftest import Installation, the_problem


def fetch(api: Installation, **wish: Any) -> list[dict[str, Any]]:
    response = api.client.post("/v1/leases", json=wish)
    assert response.status_code == 200, response.text
    LeasesView.model_validate(response.json())
    leases: list[dict[str, Any]] = response.json()["leases"]
    return leases


def tell(api: Installation, lease: dict[str, Any], what: str, **said: Any) -> httpx.Response:
    body = {"lease_token": lease["lease_token"], **said}
    return api.client.post(f"/v1/leases/{lease['id']}/{what}", json=body)


def test_a_task_goes_through_a_workers_hands(api: Installation) -> None:
    task_id = api.submitted(type="resize", payload={"name": "ü.jpg"}, labels={"order": "7"})
    (lease,) = fetch(api, functions=["resize"], max=10, lease_seconds=100)

    assert lease | {"lease_token": "", "lease_until": "", "created_at": ""} == {
        "id": task_id,
        "type": "resize",
        "lease_token": "",
        "lease_until": "",
        "attempt": 1,
        "max_attempts": 3,
        "priority": 3,
        "tenant": "default",
        "labels": {"order": "7"},
        "created_at": "",
        "payload": {"name": "ü.jpg"},
        "payload_url": None,
        "state": None,
        "progress": None,
    }
    beat = tell(api, lease, "heartbeat", progress={"fraction": 0.25, "message": "reading"}, state=[1])
    assert beat.json()["cancel_requested"] is False
    assert beat.json()["lease_until"] == lease["lease_until"], "a hundred seconds again"
    assert api.client.get(f"/v1/tasks/{task_id}").json()["progress"] == {"fraction": 0.25, "message": "reading"}
    done = tell(api, lease, "complete", result={"width": 640})

    assert done.status_code == 200
    assert TaskView.model_validate(done.json()).status == "completed"
    assert done.json()["result"] == {"width": 640}
    assert api.client.get(f"/v1/tasks/{task_id}").headers["etag"] == done.headers["etag"]
    assert fetch(api) == []


def test_a_worker_may_wish_for_as_much_as_is_allowed(api: Installation) -> None:
    ids = {api.submitted(type="resize") for _ in range(11)}

    leases = fetch(api, functions=["resize", *"abcdefghi"], max=10, wait_seconds=20, lease_seconds=43_200)

    assert len(leases) == 10
    assert {lease["id"] for lease in leases} < ids
    assert {tell(api, lease, "heartbeat").json()["lease_until"] for lease in leases} == {leases[0]["lease_until"]}
    assert leases[0]["lease_until"] == rfc3339(api.clock.now() + 43_200_000)


def test_a_state_is_found_by_the_next_attempt(api: Installation) -> None:
    api.submitted(type="resize")
    (lease,) = fetch(api)
    tell(api, lease, "heartbeat", state={"page": 7})
    tell(api, lease, "fail", error={"type": "DiskFull"}, retry_after=0)

    (again,) = fetch(api)

    assert (again["state"], again["attempt"]) == ({"page": 7}, 2)
    assert again["lease_token"] != lease["lease_token"]


def test_a_failure_is_shown_with_the_task(api: Installation) -> None:
    task_id = api.submitted(type="resize")
    (lease,) = fetch(api)

    answer = tell(api, lease, "fail", error={"type": "DiskFull", "message": "no room"}, retryable=False)

    assert answer.json()["status"] == "failed"
    assert api.client.get(f"/v1/tasks/{task_id}").json()["error"] == {"type": "DiskFull", "message": "no room"}


@pytest.mark.parametrize(
    ("what", "said"),
    [("heartbeat", {}), ("complete", {"result": 1}), ("fail", {"error": {"type": "E"}})],
)
def test_who_does_not_hold_the_task_is_told_so(api: Installation, what: str, said: dict[str, Any]) -> None:
    task_id = api.submitted(type="resize")
    stranger = {"id": task_id, "lease_token": "1-00000000"}

    the_problem(tell(api, stranger, what, **said), 409, "lease-lost")
    the_problem(tell(api, stranger | {"id": "nobody"}, what, **said), 404, "task-not-found")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"max": 11}, "/max"),
        ({"max": 0}, "/max"),
        ({"wait_seconds": 21}, "/wait_seconds"),
        ({"lease_seconds": 0}, "/lease_seconds"),
        ({"lease_seconds": 43_201}, "/lease_seconds"),
        ({"wait_seconds": 20.01}, "/wait_seconds"),
        ({"wait_seconds": -1}, "/wait_seconds"),
        ({"functions": ["a"] * 11}, "/functions"),
        ({"functions": ["resize "]}, "/functions/0"),
        ({"function": "resize"}, "/function"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(api: Installation, body: dict[str, Any], pointer: str) -> None:
    problem = the_problem(api.client.post("/v1/leases", json=body), 422, "invalid-request")

    assert problem["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("token", ["1", "0-00000000", "1-0000000g", "1-00000000 ", "-00000000", "1-000000000"])
def test_a_token_that_is_none_is_refused(api: Installation, token: str) -> None:
    lease = {"id": "any", "lease_token": token}

    the_problem(tell(api, lease, "complete", result=1), 422, "invalid-request")


def test_a_result_may_be_null_but_must_be_given(api: Installation) -> None:
    api.submitted(type="resize")
    (lease,) = fetch(api)

    the_problem(tell(api, lease, "complete"), 422, "invalid-request")
    assert tell(api, lease, "complete", result=None).json()["status"] == "completed"


def test_payloads_that_are_too_large_together_are_given_by_url(api: Installation) -> None:
    ids = {api.submitted(type="resize", payload={"text": "x" * 2_000_000}) for _ in range(4)}

    leases = fetch(api, max=4)

    urls = [lease["payload_url"] for lease in leases if lease["payload"] is None]
    assert {lease["id"] for lease in leases} == ids
    assert len(urls) == 2
    assert all(len(api.client.get(url).json()["text"]) == 2_000_000 for url in urls)
    assert all(lease["payload_url"] is None for lease in leases if lease["payload"] is not None)


def test_a_bucket_that_is_away_takes_no_lease_away(api: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(key: str) -> bytes:
        raise Unavailable("the bucket does not answer")

    api.submitted(type="resize", payload={"text": "x" * 5000})
    monkeypatch.setattr(api.blobs, "get", away)

    (lease,) = fetch(api)

    assert (lease["payload"], lease["payload_url"]) == (None, f"/v1/tasks/{lease['id']}/payload")


def test_a_wait_ends_with_the_first_task(api: Installation) -> None:
    later = Timer(0.3, lambda: api.submitted(type="resize"))
    later.start()

    assert len(fetch(api, max=10, wait_seconds=20)) == 1
    later.join()


def test_a_wait_is_bounded(api: Installation) -> None:
    assert fetch(api, wait_seconds=0.3) == []


# -- declared ----------------------------------------------------------------------------------------------------------


def test_a_declared_type_takes_tasks(api: Installation) -> None:
    the_problem(api.submit({"type": "print"}), 422, "unknown-task-type")
    body = {"name": "print", "priority": 5, "timeout_seconds": 7, "max_attempts": 4, "retry": {"pauses": [1, 2]}}

    declared = api.client.post("/v1/task-types", json=body)

    assert declared.status_code == 200, declared.text
    assert TaskTypeView.model_validate(declared.json()).external
    assert declared.json() == api.client.get("/v1/task-types/print").json()
    assert declared.json() in api.client.get("/v1/task-types").json()["task_types"]
    task = api.submit({"type": "print"}).json()
    assert (task["priority"], task["timeout_seconds"], task["max_attempts"]) == (5, 7, 4)
    assert task["held_by"] == "pull:print"


def test_a_declaration_can_be_changed(api: Installation) -> None:
    for priority in (1, 2):
        api.client.post("/v1/task-types", json={"name": "print", "priority": priority})

    assert api.submit({"type": "print"}).json()["priority"] == 2


@pytest.mark.parametrize("name", ["echo", "resize"])
def test_a_type_of_the_code_cannot_be_declared(api: Installation, name: str) -> None:
    the_problem(api.client.post("/v1/task-types", json={"name": name}), 409, "task-type-has-handler")


@pytest.mark.parametrize(
    "body", [{}, {"name": ""}, {"name": "x" * 129}, {"name": "a", "priority": 6}, {"name": "a", "timeout_seconds": 0}]
)
def test_a_declaration_that_makes_no_sense_is_refused(api: Installation, body: dict[str, Any]) -> None:
    the_problem(api.client.post("/v1/task-types", json=body), 422, "invalid-request")


def test_many_declared_types_come_in_pages(api: Installation) -> None:
    names = [f"type-{n:04}" for n in range(1001)]
    for name in names:
        api.services.types.declare(Declaration(name=name))

    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = api.client.get("/v1/task-types", params={"after": after}).json()
        seen += [one["name"] for one in page["task_types"]]
        after = page["next_after"]

    assert seen == ["count", "echo", "resize", *names]


def test_a_declared_type_can_be_paused(api: Installation) -> None:
    api.client.post("/v1/task-types", json={"name": "print"})
    api.submitted(type="print")
    assert api.client.post("/v1/task-types/print/pause").status_code == 200

    assert fetch(api) == []

    api.client.post("/v1/task-types/print/resume")
    api.clock.advance(6)
    assert len(fetch(api)) == 1


@pytest.mark.parametrize("name", ["x" * 2000, "", "nobody"])
def test_a_name_that_nobody_declared_is_not_found(api: Installation, name: str) -> None:
    the_problem(api.client.get(f"/v1/task-types/{name}"), 404, "task-type-not-found")


def test_limits_do_not_hold_for_external_workers(api: Installation) -> None:
    problem = the_problem(api.submit({"type": "resize", "throttle_keys": ["disk"]}), 422, "invalid-request")

    assert problem["errors"][0]["pointer"] == "/throttle_keys"
