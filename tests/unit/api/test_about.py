"""Task types, health, the OpenAPI document, docs/errors.md."""

from pathlib import Path
from typing import Any

import pytest

from api.problems import KINDS
from api.views import TaskTypesView, TaskView
from tasklane.adapters.memory import MemoryTaskStore
from tasklane.errors import Unavailable
from tasklane.retry import RetryPolicy
from tests.unit.api.conftest import Installation, an_installation, the_problem

ERRORS_PAGE = Path(__file__).parents[3] / "docs" / "errors.md"


def test_task_types_are_listed_by_name_with_their_defaults_and_schemas(api: Installation) -> None:
    response = api.client.get("/v1/task-types")

    types = TaskTypesView.model_validate_json(response.content).task_types
    assert [one.name for one in types] == ["count", "echo", "resize"]
    count = types[0]
    assert (count.description, count.external, count.priority, count.timeout_seconds) == ("Count.", False, 2, 30)
    assert (count.retry.max_attempts, count.retry.pauses, count.retry.base_seconds) == (5, None, 2)
    assert (count.retry.cap_seconds, count.retry.retry_on, count.retry.no_retry_on) == (900, None, [])
    assert count.max_continuations == 100
    assert count.payload_schema is not None
    assert count.payload_schema["properties"]["n"]["maximum"] == 100
    assert count.result_schema == {"type": "integer"}
    assert types[2].external


def test_a_task_type_with_a_list_of_pauses_shows_it(api: Installation) -> None:
    policy = RetryPolicy.listed(1, 2.5, max_age_seconds=3600)
    api.services.registry.declare_external("listed", retry=policy, max_continuations=7)

    listed = api.client.get("/v1/task-types/listed").json()

    assert listed["retry"] == {
        "max_attempts": 3,
        "pauses": [1, 2.5],
        "base_seconds": None,
        "cap_seconds": None,
        "retry_on": None,
        "no_retry_on": [],
        "max_age_seconds": 3600,
    }
    assert listed["max_continuations"] == 7


def test_what_is_shown_of_an_external_types_payload_is_what_is_taken(api: Installation) -> None:
    schema = api.client.get("/v1/task-types/resize").json()["payload_schema"]
    api.client.post("/v1/task-types", json={"name": "declared"})

    assert [one["type"] for one in schema["anyOf"]] == ["object", "array"]
    assert api.client.get("/v1/task-types/declared").json()["payload_schema"] == schema
    for name in ("resize", "declared"):
        for payload in ({"n": 1}, [1, 2]):
            assert api.submit({"type": name, "payload": payload}).status_code == 202
        the_problem(api.submit({"type": name, "payload": "text"}), 422, "invalid-request")


def test_one_task_type_can_be_seen(api: Installation) -> None:
    assert api.client.get("/v1/task-types/count").json() == api.client.get("/v1/task-types").json()["task_types"][0]


@pytest.mark.parametrize("name", ["nope", "a/b", "%00", "x" * 5000, ""])
def test_an_unknown_task_type_is_a_problem(api: Installation, name: str) -> None:
    the_problem(api.client.get(f"/v1/task-types/{name}"), 404, "task-type-not-found")


def test_a_type_without_schema_does_not_hide_the_others(api: Installation) -> None:
    api.services.registry.declare_external("odd", result_type=object())

    types = {one["name"]: one for one in api.client.get("/v1/task-types").json()["task_types"]}

    assert types["odd"]["result_schema"] is None
    assert "count" in types


def test_a_type_declared_later_is_listed(api: Installation) -> None:
    api.client.get("/v1/task-types")
    api.services.registry.declare_external("later")

    assert api.client.get("/v1/task-types/later").json()["external"] is True


def test_health_is_ok_while_the_api_answers(api: Installation) -> None:
    response = api.client.get("/health")

    assert response.json() == {"status": "ok", "version": "0.1.0", "stage": "test"}


def test_deep_health_checks_table_and_queues(api: Installation) -> None:
    health = api.client.get("/health", params={"deep": "true"}).json()

    assert health["status"] == "ok"
    assert health["checks"] == {"table": "ok", "lanes": "ok", "callback_queue": "ok"}


class SilentStore(MemoryTaskStore):
    def check(self) -> None:
        raise Unavailable("arn:aws:dynamodb:eu-west-1:123456789012:table/secret does not answer")


def test_deep_health_names_what_does_not_answer_and_no_more() -> None:
    with an_installation(store=SilentStore()) as api:
        response = api.client.get("/health", params={"deep": "true"})

        problem = the_problem(response, 503, "unavailable")
        assert problem["checks"] == {"table": "unavailable", "lanes": "ok", "callback_queue": "ok"}
        assert response.headers["retry-after"] == "2"
        assert "secret" not in response.text
        assert api.client.get("/health").status_code == 200


def test_the_index_tells_where_to_go(api: Installation) -> None:
    index = api.client.get("/").json()

    for path in (index["dashboard"], index["docs"], index["openapi"], index["health"]):
        assert api.client.get(path).status_code == 200


def the_document(api: Installation) -> dict[str, Any]:
    document: dict[str, Any] = api.client.get("/openapi.json").json()
    return document


def test_the_openapi_document_describes_every_route(api: Installation) -> None:
    document = the_document(api)

    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {
        "/v1/tasks",
        "/v1/tasks/remove",
        "/v1/tasks/{task_id}",
        "/v1/tasks/{task_id}/cancel",
        "/v1/tasks/{task_id}/callback/redeliver",
        "/v1/callbacks",
        "/v1/pauses",
        "/v1/lanes/{lane}/pause",
        "/v1/limits",
        "/v1/limits/{key}",
        "/v1/lanes/{lane}/resume",
        "/v1/task-types/{name}/pause",
        "/v1/task-types/{name}/resume",
        "/v1/callbacks/redrive",
        "/v1/leases",
        "/v1/leases/{task_id}/heartbeat",
        "/v1/leases/{task_id}/complete",
        "/v1/leases/{task_id}/fail",
        "/enqueue",
        "/get_task",
        "/submit_result",
        "/result/{task_id}",
        "/v1/lanes",
        "/v1/lanes/{lane}",
        "/v1/lanes/{lane}/redrive",
        "/v1/tasks/{task_id}/retry",
        "/v1/tasks/{task_id}/payload",
        "/v1/tasks/{task_id}/result",
        "/v1/task-types",
        "/v1/task-types/{name}",
        "/health",
        "/tasks",
        "/tasks/",
        "/tasks/{task_id}",
        "/api/tasks",
        "/api/tasks/{task_id}",
        "/api/tasks/{task_id}/state",
        "/api/v1/task/greeting",
        "/api/v1/task/download",
        "/api/v1/task/blocking_long_running_task",
        "/api/v1/task/non_blocking_long_running_task",
        "/api/v1/task/result/{task_id}",
    }
    for path in document["paths"].values():
        for operation in path.values():
            assert operation["summary"]
            assert operation["tags"]
            internal = operation["responses"]["500"]
            assert internal["content"]["application/problem+json"]["schema"]["$ref"].endswith("/Problem")
            assert "HTTPValidationError" not in str(operation)


def test_the_openapi_document_shows_bodies_answers_and_problems(api: Installation) -> None:
    document = the_document(api)

    post = document["paths"]["/v1/tasks"]["post"]
    assert {"200", "202", "400", "413", "415", "422", "500", "503"} == set(post["responses"])
    assert "idempotency-conflict" in str(post["responses"]["422"])
    assert set(document["components"]["schemas"]["TaskView"]["properties"]) == set(TaskView.model_fields)
    request = document["components"]["schemas"]["TaskRequest"]
    assert request["properties"]["type"]["examples"] == ["FibonacciTask"]
    assert request["additionalProperties"] is False
    assert document["components"]["schemas"]["RetryRequest"]["additionalProperties"] is False
    change = document["components"]["schemas"]["TaskChange"]
    assert set(change["properties"]) == {"run_at", "priority"}
    assert "default" not in change["properties"]["priority"], "a priority that is not given stays"
    assert "invalid-transition" in str(document["paths"]["/v1/tasks/{task_id}"]["delete"]["responses"]["409"])
    assert all(name.split("/")[-1] in document["components"]["schemas"] for name in references(document, "schemas"))


def test_the_openapi_document_leaves_no_status_open(api: Installation) -> None:
    for path, operation in operations(the_document(api)):
        assert "default" not in operation["responses"], path
        assert all(status.isdecimal() for status in operation["responses"]), path


def test_the_openapi_document_names_the_headers_of_every_answer(api: Installation) -> None:
    document = the_document(api)

    for path, operation in operations(document):
        for status, response in operation["responses"].items():
            assert response["headers"]["X-Correlation-Id"] == {"$ref": "#/components/headers/CorrelationId"}, path
            assert ("Retry-After" in response["headers"]) is (status == "503"), path
    assert document["components"]["headers"]["CorrelationId"]["required"] is True


def test_the_bounds_of_integers_are_in_the_openapi_document(api: Installation) -> None:
    fields = the_document(api)["components"]["schemas"]["TaskRequest"]["properties"]

    for name, least, most in (("priority", 1, 5), ("max_attempts", 1, 100), ("timeout_seconds", 1, 900)):
        assert fields[name]["anyOf"][0] == {"type": "integer", "minimum": least, "maximum": most}


def test_the_example_of_a_task_is_accepted(api: Installation) -> None:
    example = the_document(api)["components"]["schemas"]["TaskRequest"]["examples"][0]

    assert api.submit(example | {"type": "count"}).status_code == 202


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every operation, with its address."""
    return [
        (f"{method} {path}", operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


def references(part: Any, kind: str) -> set[str]:
    """Every ``$ref`` to a component of this kind."""
    if isinstance(part, dict):
        own = {part["$ref"]} if f"/{kind}/" in str(part.get("$ref", "")) else set()
        return own.union(*(references(one, kind) for one in part.values()))
    return set().union(*(references(one, kind) for one in part)) if isinstance(part, list) else set()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_problem_is_documented(kind: Any) -> None:
    page = ERRORS_PAGE.read_text(encoding="utf-8")

    assert f"`{kind.uri}`" in page
    assert f"{kind.status}" in page
