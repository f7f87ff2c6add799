"""A task as its JSON text and its ETag.

The documents' texts are spliced in as they are kept: up to 10 MiB are neither parsed nor written again.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from tasklane.bootstrap import Services
from tasklane.document import MAX_DOCUMENT
from tasklane.task import Document, Status, Task
from tasklane.view import shown_status, task_view

LAMBDA_ANSWER: Final = 6_291_556 - 131_072
"""Bytes of JSON text that a Lambda may answer, less what everything but the documents takes
(https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html)."""

_ENTITY_TAG = re.compile(r'"[^"]*"')


@dataclass(frozen=True, kw_only=True, slots=True)
class Outline:
    """A task without its documents, at one moment.

    The payload never changes and the result comes with the final status, so the ETag of the outline is the whole's.
    """

    task: Task
    status: Status
    text: str
    etag: str


def outline(task: Task, now: int) -> Outline:
    """The outline of ``task`` as it is ``now``."""
    view = task_view(task, now, payload=None, result=None)
    del view["payload"], view["result"]
    text = json.dumps(view, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace").decode()
    etag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
    return Outline(task=task, status=shown_status(task, now), text=text, etag=etag)


def read_outline(services: Services, task_id: str) -> Outline:
    """The outline of the task with this id. Raises TaskNotFound, Unavailable."""
    return outline(services.read(task_id), services.clock.now())


def whole(services: Services, known: Outline, payload: str | None = None, *, fetch: bool = True) -> bytes:
    """The task with its documents; ``payload`` is the payload's text where the caller has it. Raises Unavailable.

    Documents that would be more than an answer may carry are null, the larger first, and their URLs are given. So are
    those in the blob store, where ``fetch`` is False; nothing can go wrong then.
    """
    task = known.task
    texts = fitting_texts(services, _documents(task), payload, fetch=fetch)
    members = [known.text[:-1]]
    for name in ("payload", "result"):
        members.append(f'"{name}":{texts.get(name, "null")}')
        url = f'"/v1/tasks/{task.id}/{name}"' if name in _documents(task) and name not in texts else "null"
        members.append(f'"{name}_url":{url}')
    return (",".join(members) + "}").encode()


def fitting_texts(
    services: Services,
    documents: Mapping[str, Document],
    payload: str | None = None,
    *,
    fetch: bool = True,
    limit: int = LAMBDA_ANSWER,
) -> dict[str, str]:
    """The texts of those of the documents that one answer may carry; for the rest as in ``whole``."""
    texts: dict[str, str] = {}
    for name in _fitting({name: document.size for name, document in documents.items()}, MAX_DOCUMENT):
        if name == "payload" and payload is not None:
            texts[name] = payload
        elif fetch or documents[name].text is not None:
            texts[name] = services.read.text(documents[name])
    inlined = _fitting({name: escaped_size(text) for name, text in texts.items()}, limit)
    return {name: texts[name] for name in inlined}


def escaped_size(text: str) -> int:
    """Bytes of compact JSON ``text`` inside a JSON string, which is how a Lambda answers."""
    return len(text.encode()) + text.count('"') + text.count("\\")


def entity_tags(if_none_match: str) -> frozenset[str]:
    """The tags that an If-None-Match header names, without their weakness (RFC 9110, section 13.1.2); ``*`` for any."""
    return frozenset({"*"} if if_none_match.strip() == "*" else _ENTITY_TAG.findall(if_none_match))


def matches(tags: frozenset[str], etag: str) -> bool:
    """True where the caller has this representation already."""
    return "*" in tags or etag in tags


def not_modified(known: Outline) -> Response:
    """What a caller gets who has it already."""
    return Response(status_code=304, headers=_headers(known))


def answer(known: Outline, content: bytes, status: int = 200) -> Response:
    """A task, to be asked about again with its ETag."""
    return Response(content, status, _headers(known), "application/json")


def _headers(known: Outline) -> dict[str, str]:
    return {"etag": known.etag, "cache-control": "no-cache"}


def _documents(task: Task) -> dict[str, Document]:
    return {"payload": task.payload} | ({"result": task.result} if task.result else {})


def _fitting(sizes: dict[str, int], limit: int) -> frozenset[str]:
    """The names that stay when the largest go until the rest fits."""
    names = sorted(sizes, key=lambda name: sizes[name])
    while names and sum(sizes[name] for name in names) > limit:
        names.pop()
    return frozenset(names)
