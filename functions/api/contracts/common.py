"""What the contracts share: to submit in a contract's name, and to answer in the words of a task's own contract."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from api import correlation
from api.body import JsonRequest
from api.request import caller_of, checked_id, services_of
from api.schemas import digest
from tasklane.bootstrap import Services
from tasklane.errors import DocumentTooLarge, InvalidPayload, UnknownTaskType
from tasklane.submit import Submission, Submitted
from tasklane.task import DEFAULT_TENANT, Task

logger = logging.getLogger("tasklane.api")

View: TypeAlias = Callable[[Services, Task], dict[str, Any]]
"""A task in the words of one contract."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """A task that a contract's caller wants; ``pointers`` say where in the body its type and its payload stand."""

    contract: str
    type: str
    payload: Mapping[str, Any] | Sequence[Any]
    type_pointer: str = ""
    payload_pointer: str = ""
    priority: int | None = None
    callback_url: str | None = None
    throttle_keys: Sequence[str] = ()
    external: bool = False


def submit(request: JsonRequest, wish: Wish, idempotency_key: str | None) -> Submitted:
    """Accept the task. Raises what Submit raises, with pointers into the body as it came."""
    known = correlation.of(request.scope)
    submission = Submission(
        type=wish.type,
        payload=wish.payload,
        priority=wish.priority,
        callback_url=wish.callback_url,
        throttle_keys=tuple(wish.throttle_keys),
        idempotency_key=idempotency_key,
        caller=caller_of(request, DEFAULT_TENANT),
        # The same body asks for something else at another path.
        request_hash=idempotency_key and digest([wish.contract, wish.type, request.value]),
        correlation_id=known.id if known.sent else None,
        contract=wish.contract,
        external=wish.external,
    )
    with _pointing_into_the_body(wish):
        submitted = services_of(request).submit(submission)
    extra = {"task_id": submitted.task.id, "task_type": submitted.task.type, "replayed": submitted.replayed}
    logger.info("A task was accepted.", extra={"action": "accepted", "contract": wish.contract, **extra})
    return submitted


def accepted(submitted: Submitted, status: int, content: Mapping[str, Any]) -> Response:
    """The answer to a submission."""
    return json_answer(content, status, {"idempotency-replayed": "true"} if submitted.replayed else {})


def read(request: Request, task_id: str) -> Task:
    """The task with this id. Raises TaskNotFound, Unavailable."""
    return services_of(request).read(checked_id(task_id))


def words_of(request: Request, task: Task, own: View) -> dict[str, Any]:
    """The task in the words of its contract; ``own`` are those of the route, for a task of none. Raises Unavailable."""
    views: Mapping[str, View] = request.app.state.contract_views
    return views.get(task.contract or "", own)(services_of(request), task)


def answer(request: Request, task: Task, own: View) -> Response:
    """The task in the words of its contract, as ``words_of``."""
    return json_answer(words_of(request, task, own), 200, {"cache-control": "no-cache"})


def json_answer(content: Mapping[str, Any], status: int, headers: Mapping[str, str]) -> Response:
    """``content`` as the answer's body."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return Response(text.encode("utf-8", "replace"), status, headers, "application/json")


@contextmanager
def _pointing_into_the_body(wish: Wish) -> Iterator[None]:
    try:
        yield
    except InvalidPayload as exc:
        issues = [{**i, "pointer": wish.payload_pointer + i["pointer"].removeprefix("/payload")} for i in exc.issues]
        raise InvalidPayload(exc.detail, issues) from exc
    except DocumentTooLarge as exc:
        issue = {"pointer": wish.payload_pointer, "detail": f"At most {exc.limit} bytes of JSON."}
        raise DocumentTooLarge(exc.size, exc.limit, [issue]) from exc
    except UnknownTaskType as exc:
        exc.issues = tuple({**issue, "pointer": wish.type_pointer} for issue in exc.issues)
        raise
