"""``/v1/tasks/{id}/payload`` and ``/result``: a task's documents, raw."""

import gzip
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api import problems
from api.errors import NoResult
from api.openapi import problems as may_answer
from api.representation import LAMBDA_ANSWER, escaped_size
from api.request import checked_id, services_of
from tasklane.task import Document

router = APIRouter(prefix="/v1/tasks", tags=["tasks"])

_DOCUMENT: Final[dict[str, Any]] = {
    "description": "The JSON document.",
    "content": {"application/json": {"schema": {}}},
    "headers": {
        "Vary": {"description": "Accept-Encoding", "schema": {"type": "string"}},
        "Content-Encoding": {
            "description": "gzip, where it is taken and the document would not fit a Lambda's answer otherwise.",
            "schema": {"type": "string"},
        },
    },
}


@router.get(
    "/{task_id}/payload",
    summary="Get a task's payload",
    responses={200: _DOCUMENT, **may_answer(problems.TASK_NOT_FOUND, problems.UNAVAILABLE)},
)
def get_payload(request: Request, task_id: str) -> Response:
    """The payload, as JSON, up to 5 MiB."""
    task = services_of(request).read(checked_id(task_id))
    return _answer(request, task.payload)


@router.get(
    "/{task_id}/result",
    summary="Get a task's result",
    responses={
        200: _DOCUMENT,
        **may_answer(problems.TASK_NOT_FOUND, problems.RESULT_NOT_FOUND, problems.UNAVAILABLE),
    },
)
def get_result(request: Request, task_id: str) -> Response:
    """What the handler returned, as JSON, up to 5 MiB."""
    task = services_of(request).read(checked_id(task_id))
    if task.result is None:
        raise NoResult(f"The task is {task.status.value}; it has no result.")
    return _answer(request, task.result)


def _answer(request: Request, kept: Document) -> Response:
    text = services_of(request).read.text(kept)
    content, headers = text.encode(), {"vary": "accept-encoding"}
    # More than a Lambda may answer as text; compressed, it fits.
    if escaped_size(text) > LAMBDA_ANSWER and "gzip" in request.headers.get("accept-encoding", ""):
        content, headers = gzip.compress(content, 1), headers | {"content-encoding": "gzip"}
    return Response(content, headers=headers, media_type="application/json")
