"""Errors as RFC 9457 problem documents: one table, by type, never by message.

docs/errors.md tells callers what each type URI means; a URI, once published, keeps its meaning.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from api import correlation
from api import errors as refused
from api.errors import Issue
from api.strict_json import MAX_ISSUES, escape
from tasklane import errors

logger = logging.getLogger("tasklane.api")

URI_PREFIX: Final = "urn:tasklane:problem:"
MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER: Final = {"retry-after": "2"}
"""Seconds after which what did not answer is worth another request."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind of problem: ``name`` ends its type URI, ``title`` never changes with the occurrence."""

    name: str
    status: int
    title: str

    @property
    def uri(self) -> str:
        """The problem's type."""
        return URI_PREFIX + self.name


INVALID_JSON = Kind(name="invalid-json", status=400, title="The body is not acceptable JSON")
INVALID_PARAMETER = Kind(name="invalid-parameter", status=400, title="A header or a query parameter is wrong")
NOT_FOUND = Kind(name="not-found", status=404, title="There is nothing at this address")
TASK_NOT_FOUND = Kind(name="task-not-found", status=404, title="There is no such task")
RESULT_NOT_FOUND = Kind(name="result-not-found", status=404, title="The task has no result")
TASK_TYPE_NOT_FOUND = Kind(name="task-type-not-found", status=404, title="There is no such task type")
LIMIT_NOT_FOUND = Kind(name="limit-not-found", status=404, title="There is no such limit")
METHOD_NOT_ALLOWED = Kind(name="method-not-allowed", status=405, title="The method is not allowed here")
INVALID_TRANSITION = Kind(name="invalid-transition", status=409, title="The task's status does not allow this")
LEASE_LOST = Kind(name="lease-lost", status=409, title="The lease has ended")
TASK_TYPE_HAS_HANDLER = Kind(name="task-type-has-handler", status=409, title="The task type has a handler")
TOO_LARGE = Kind(name="too-large", status=413, title="The body or a document in it is too large")
UNSUPPORTED_MEDIA_TYPE = Kind(name="unsupported-media-type", status=415, title="The body is not declared as JSON")
INVALID_REQUEST = Kind(name="invalid-request", status=422, title="Fields of the body are wrong")
INVALID_PAYLOAD = Kind(name="invalid-payload", status=422, title="The payload does not fit the task type")
UNKNOWN_TASK_TYPE = Kind(name="unknown-task-type", status=422, title="The task type is unknown")
IDEMPOTENCY_CONFLICT = Kind(
    name="idempotency-conflict", status=422, title="The idempotency key belongs to another request"
)
INTERNAL_ERROR = Kind(name="internal-error", status=500, title="Something went wrong here")
UNAVAILABLE = Kind(name="unavailable", status=503, title="A service behind this API does not answer")

OF_A_SUBMISSION: Final = (
    INVALID_JSON,
    INVALID_PARAMETER,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    INVALID_REQUEST,
    INVALID_PAYLOAD,
    UNKNOWN_TASK_TYPE,
    IDEMPOTENCY_CONFLICT,
    UNAVAILABLE,
)
"""Why a submission may be refused."""

KINDS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Kind))
"""All of them; docs/errors.md has a section for each."""

TABLE: Final[Mapping[type[Exception], Kind]] = {
    refused.InvalidJson: INVALID_JSON,
    refused.InvalidCursor: INVALID_PARAMETER,
    refused.UnsupportedMediaType: UNSUPPORTED_MEDIA_TYPE,
    refused.BodyTooLarge: TOO_LARGE,
    refused.NoResult: RESULT_NOT_FOUND,
    refused.NoSuchTaskType: TASK_TYPE_NOT_FOUND,
    errors.InvalidRequest: INVALID_REQUEST,
    errors.InvalidPayload: INVALID_PAYLOAD,
    errors.UnknownTaskType: UNKNOWN_TASK_TYPE,
    errors.DocumentTooLarge: TOO_LARGE,
    errors.IdempotencyConflict: IDEMPOTENCY_CONFLICT,
    errors.TaskNotFound: TASK_NOT_FOUND,
    errors.LimitNotFound: LIMIT_NOT_FOUND,
    errors.NotNow: INVALID_TRANSITION,
    errors.LeaseLost: LEASE_LOST,
    errors.HasHandler: TASK_TYPE_HAS_HANDLER,
}
"""What callers can mend; everything else is 5xx and says nothing about its inside."""

NO_STEPS: Final = frozenset({"[key]", "[input_data]", "[payload]"})
"""What pydantic adds to a place that is no step to it: after a wrong key of a mapping, and the tag of a union."""
OF_JSON: Final[Mapping[str, str]] = {
    **dict.fromkeys(("model_type", "model_attributes_type", "dataclass_type", "dict_type"), "a JSON object"),
    "list_type": "a JSON array",
    "string_type": "a string",
    "bool_type": "true or false",
    "url_type": "a URL, as a string",
}
"""What a value had to be, by pydantic's name for that; its own words are of Python."""
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

BY_STATUS: Final[Mapping[int, Kind]] = {404: NOT_FOUND, 405: METHOD_NOT_ALLOWED}
"""What the framework raises itself."""


class ProblemError(BaseModel):
    """One thing that is wrong with the body."""

    pointer: str = Field(description="JSON Pointer (RFC 6901) into the body; empty: the body as a whole.")
    detail: str = Field(description="What is wrong there.")


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    type: str = Field(description="The kind of problem; stable, see docs/errors.md.", examples=[INVALID_REQUEST.uri])
    title: str = Field(description="The kind of problem in words.", examples=[INVALID_REQUEST.title])
    status: int = Field(description="The HTTP status code.", examples=[422])
    detail: str = Field(description="What happened this time.", examples=["1 field of the body is wrong."])
    correlation_id: str = Field(description="Names this request in the logs; also in the X-Correlation-Id header.")
    errors: list[ProblemError] = Field(default=[], description="At most 20 places in the body that are wrong.")


def problem(
    request: Request,
    kind: Kind,
    detail: str,
    issues: Sequence[Issue] = (),
    headers: Mapping[str, str] | None = None,
    media_type: str = MEDIA_TYPE,
    **extensions: Any,
) -> Response:
    """The problem document as a response; ``extensions`` are further members (RFC 9457, section 3.2)."""
    document: dict[str, Any] = {
        "type": kind.uri,
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "correlation_id": correlation.of(request.scope).id,
    }
    if issues:
        document["errors"] = [dict(issue) for issue in issues]
    content = json.dumps(document | extensions, ensure_ascii=False).encode("utf-8", "replace")
    return Response(content, kind.status, headers, media_type)


def add_handlers(app: FastAPI) -> None:
    """Let ``app`` answer the errors above with problems."""
    for error_type in TABLE:
        app.add_exception_handler(error_type, _refusal)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(errors.Unavailable, _unavailable)


def internal_error(request: Request) -> Response:
    """What callers see of an error that nobody foresaw."""
    return problem(
        request, INTERNAL_ERROR, "The request could not be answered. The correlation id names it in the logs."
    )


async def _refusal(request: Request, exc: Exception) -> Response:
    kind = next(TABLE[base] for base in type(exc).__mro__ if base in TABLE)
    issues: Sequence[Issue] = getattr(exc, "issues", ())
    headers = None
    if isinstance(exc, errors.TaskNotFound):
        detail = "There is no task with this id; it never existed or its retention has ended."
    else:
        detail = getattr(exc, "detail", None) or str(exc)
    if isinstance(exc, errors.DocumentTooLarge):
        issues = exc.issues or [{"pointer": "/payload", "detail": f"At most {exc.limit} bytes of JSON."}]
    if isinstance(exc, refused.BodyTooLarge):
        headers = {"connection": "close"}  # the rest of the body is not read
    return problem(request, kind, detail, issues, headers)


async def _validation_error(request: Request, exc: Exception) -> Response:
    """What FastAPI found wrong: in the body (422), or in a header, the query or the path (400)."""
    assert isinstance(exc, RequestValidationError)  # noqa: S101 - what it is registered for
    found: Sequence[Mapping[str, Any]] = exc.errors()
    elsewhere = [error for error in found if error["loc"][0] != "body"]
    if elsewhere:
        detail = " ".join(f"{error['loc'][-1]} ({error['loc'][0]}): {_sentence(error)}" for error in elsewhere)
        return problem(request, INVALID_PARAMETER, detail)
    issues = [{"pointer": _pointer(error["loc"]), "detail": _sentence(error)} for error in found[:MAX_ISSUES]]
    plural = "1 field of the body is wrong." if len(found) == 1 else f"{len(found)} fields of the body are wrong."
    return problem(request, INVALID_REQUEST, plural, issues)


async def _http_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)  # noqa: S101 - what it is registered for
    kind = BY_STATUS.get(exc.status_code) or Kind(
        name=f"http-{exc.status_code}", status=exc.status_code, title=HTTPStatus(exc.status_code).phrase
    )
    detail = f"{request.method} {request.url.path[:200]} is not part of this API; /docs shows what is."
    headers = exc.headers if kind is not METHOD_NOT_ALLOWED else {"allow": ", ".join(_allowed(request))}
    return problem(request, kind, detail if kind.status in BY_STATUS else exc.detail, headers=headers)


def _allowed(request: Request) -> list[str]:
    """The methods that this address takes; the framework names those of the first route there, not of all."""
    # An address that stands in the document by name (/v1/tasks/remove) is no instance of a wider one (/v1/tasks/{id}).
    address, paths = request.scope["path"], request.app.openapi()["paths"]
    template = min((one for one in paths if _fits(address, one)), key=lambda one: one.count("{"), default=None)

    def takes(method: str) -> bool:
        if method == "HEAD" and address in request.app.state.not_safe:
            return False
        method = "GET" if method == "HEAD" else method
        if template is not None:
            return method.lower() in paths[template]
        return any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)

    return [method for method in METHODS if takes(method)]


def _fits(address: str, template: str) -> bool:
    """True where the address is one of the template: a parameter is one part that is not empty."""
    given, wanted = address.split("/"), template.split("/")
    return len(given) == len(wanted) and all(
        have == want or (have != "" and want.startswith("{")) for have, want in zip(given, wanted, strict=True)
    )


async def _unavailable(request: Request, exc: Exception) -> Response:
    logger.warning("A service did not answer.", extra={"action": "unavailable", "error": str(exc)})
    return problem(
        request,
        UNAVAILABLE,
        "It refused or was too slow. Send the same request again; with an Idempotency-Key that is always safe.",
        headers=RETRY_AFTER,
    )


def _pointer(location: Sequence[Any]) -> str:
    return "".join(f"/{escape(str(part))}" for part in location[1:] if part not in NO_STEPS)


def _sentence(error: Mapping[str, Any]) -> str:
    match error["type"]:
        case "missing":
            return "This field is required."
        case "extra_forbidden":
            return "There is no such field."
        case "too_short":
            least = error["ctx"]["min_length"]
            return f"Must have at least {least} {'entry' if least == 1 else 'entries'}."
        case kind if kind in OF_JSON:
            return f"Must be {OF_JSON[kind]}."
        case "value_error":
            return f"{error['ctx']['error']}"
        case _:
            return f"{error['msg']}."
