"""The OpenAPI document: what FastAPI knows, and the shape of every problem."""

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api import correlation
from api.problems import INTERNAL_ERROR, INVALID_REQUEST, MEDIA_TYPE, UNAVAILABLE, Kind, Problem

Responses: TypeAlias = dict[int | str, dict[str, Any]]

TAGS: Final = [
    {"name": "tasks", "description": "Submit tasks, see what became of them, change them."},
    {"name": "callbacks", "description": "What could not be delivered, and how to send it again."},
    {"name": "leases", "description": "For external workers: fetch tasks, hold them, say how the work ended."},
    {"name": "lanes", "description": "How full the queues are, what to do about what they gave up; pause, and resume."},
    {"name": "limits", "description": "How many tasks of a key run at once, and how fast they start."},
    {"name": "task types", "description": "What this installation can do."},
    {"name": "health", "description": "Whether it can."},
]
DESCRIPTION: Final = """\
POST a task; it goes down the lane of its priority to a worker, its status can be read and waited for, and its result is
posted to a callback.

Every error is an [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem document with a stable `type`, and a JSON
Pointer for each wrong field. Every answer carries an `X-Correlation-Id`: yours, or a new one.
"""

ASK_AGAIN: Final = {"Cache-Control": {"description": "no-cache: keep it, but ask again.", "schema": {"type": "string"}}}
TASK_HEADERS: Final = ASK_AGAIN | {
    "ETag": {"description": "Names this state of the task.", "required": True, "schema": {"type": "string"}},
}
"""What comes with a task."""
REPLAYED: Final = {
    "Idempotency-Replayed": {
        "description": "true: an earlier request with this Idempotency-Key made the task.",
        "schema": {"const": "true"},
    }
}

_SCHEMA: Final = {"$ref": "#/components/schemas/Problem"}
_CORRELATION: Final = {"$ref": "#/components/parameters/CorrelationId"}
_HEADERS: Final = {correlation.HEADER: {"$ref": "#/components/headers/CorrelationId"}}
_RETRY_AFTER: Final = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}


def problems(*kinds: Kind) -> Responses:
    """The ``responses`` of a route that may answer with these kinds of problem, or with an internal error."""
    by_status: dict[int | str, list[Kind]] = {}
    for kind in (*kinds, INTERNAL_ERROR):
        by_status.setdefault(kind.status, []).append(kind)
    return {status: _response("; ".join(kind.title for kind in some) + ".", some) for status, some in by_status.items()}


class Api(FastAPI):
    """The application; its OpenAPI document knows problems and correlation ids."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = _document(self)
        return self.openapi_schema


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        tags=app.openapi_tags,
        routes=app.routes,
        webhooks=app.webhooks.routes,
        license_info=app.license_info,
    )
    components = document.setdefault("components", {})
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    components.setdefault("schemas", {}).update(schema.pop("$defs"), Problem=schema)
    components["parameters"] = {
        "CorrelationId": {
            "name": correlation.HEADER,
            "in": "header",
            "description": "Names this request in the answer and in the logs: at most 128 letters, digits and "
            "`._~:/+=@-`. Where it is missing or has anything else, a new one is made.",
            "schema": {"type": "string"},
        }
    }
    components["headers"] = {
        "CorrelationId": {
            "description": "Names this request in the logs.",
            "required": True,
            "schema": {"type": "string", "minLength": 1, "maxLength": 128},
        }
    }
    for operation in _operations(document):
        operation.setdefault("parameters", []).append(_CORRELATION)
        _finish(operation["responses"])
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    return document


def _finish(responses: dict[str, Any]) -> None:
    """FastAPI adds a 422 of its own shape to every operation with parameters: nothing here answers with that."""
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    for response in responses.values():
        response["headers"] = response.get("headers", {}) | _HEADERS


def _operations(document: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for path in document["paths"].values():
        yield from path.values()


def _response(description: str, kinds: list[Kind]) -> dict[str, Any]:
    return {
        "description": description,
        "content": {
            MEDIA_TYPE: {"schema": _SCHEMA, "examples": {kind.name: {"value": _example(kind)} for kind in kinds}}
        },
        "headers": dict(_RETRY_AFTER) if UNAVAILABLE in kinds else {},
    }


def _example(kind: Kind) -> dict[str, Any]:
    example: dict[str, Any] = {
        "type": kind.uri,
        "title": kind.title,
        "status": kind.status,
        "detail": kind.title + ".",
        "correlation_id": "7f9c2ba4e88f827d616045507605853e",
    }
    if kind is INVALID_REQUEST:
        example |= {
            "detail": "1 field of the body is wrong.",
            "errors": [{"pointer": "/priority", "detail": "Input should be less than or equal to 5."}],
        }
    return example
