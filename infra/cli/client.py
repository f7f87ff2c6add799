"""The API as the commands call it: answers as values, refusals as one sentence."""

from __future__ import annotations

import json
import re
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode

import httpx

from infra.cli.errors import CommandError, Refused, sentence_of
from infra.cli.signing import signature_for
from infra.proxies import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

DEFAULT_URL = "http://127.0.0.1:8000"
TIMEOUT_SECONDS = 30.0
WAIT_SECONDS = 20
"""How long the API holds one request that waits for a task."""
TRIES = 5
"""How often a request that is safe to repeat is made where it was not answered, or with 429 or 503."""
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 4.0
PAGE = 100
"""The most tasks that one request lists or removes."""
FINAL = frozenset({"completed", "failed", "cancelled", "expired"})

Task = dict[str, Any]

_HOST = re.compile(r"[\w.:-]+")


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of the list of tasks; ``next`` is the cursor to go on with, None at the end."""

    tasks: list[Task]
    next: str | None


class Api:
    """A client of the API; safe to use from several threads."""

    def __init__(self, url: str, transport: httpx.BaseTransport | None = None) -> None:
        """``url`` is the base URL; ``transport`` is another way to get there, for tests.

        Raises CommandError for a URL that is none.
        """
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as exc:
            raise CommandError(f"{url!r} is no URL: {exc}.") from exc
        if parsed.scheme not in ("http", "https") or not _HOST.fullmatch(parsed.host):
            raise CommandError(f"{url!r} is no URL of an API: it looks like {DEFAULT_URL}.")
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url,
            transport=transport,
            auth=signature_for(url),
            timeout=TIMEOUT_SECONDS,
            limits=httpx.Limits(max_connections=32),
            # A proxy would look for this machine's address on itself.
            mounts={"http://": None, "https://": None} if is_loopback(parsed.host) else None,
            headers={"accept": "application/json"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._http.close()

    def submit(self, task: Mapping[str, Any], idempotency_key: str | None = None) -> Task:
        """Submit a task; without a key of the caller's it gets one, so that a lost answer makes no second task."""
        return self._one("POST", "/v1/tasks", task, {"idempotency-key": idempotency_key or uuid.uuid4().hex})

    def get(self, task_id: str) -> Task:
        """Give a task."""
        return self._one("GET", self._task(task_id))

    def wait(self, task_id: str, seconds: float | None = None) -> Task:
        """Give a task once it is final, or when the seconds are over (None: never)."""
        end = None if seconds is None else time.monotonic() + seconds
        while True:
            left = WAIT_SECONDS if end is None else min(WAIT_SECONDS, max(0.0, end - time.monotonic()))
            task = self._one("GET", self._task(task_id, f"?wait={left:.3f}&until=final"))
            if task["status"] in FINAL or (end is not None and time.monotonic() >= end):
                return task

    def change(self, task_id: str, action: str) -> Task:
        """``cancel`` or ``retry`` a task."""
        return self._one("POST", self._task(task_id, f"/{action}"), repeat=False)

    def tasks(self, count: int, **filters: str) -> Iterator[Task]:
        """Give at most so many tasks, page by page; ``filters`` are the API's parameters."""
        given, cursor = 0, ""
        while given < count:
            page = self.page(min(PAGE, count - given), cursor, **filters)
            yield from page.tasks
            given += len(page.tasks)
            if page.next is None:
                return
            cursor = page.next

    def page(self, limit: int, cursor: str = "", **filters: str) -> Page:
        """Give one page of the list of tasks; an empty ``cursor`` is its beginning."""
        parameters = filters | {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
        # A signature does not cover "+": blanks are written as %20.
        answer = self.call("GET", f"/v1/tasks?{urlencode(parameters, quote_via=quote, safe='')}")
        return Page(tasks=answer["tasks"], next=answer["next_cursor"])

    def remove(self, task_ids: Sequence[str]) -> dict[str, Any]:
        """Remove tasks; what became of them."""
        total: dict[str, Any] = {"removed": 0, "gone": 0, "left": []}
        for first in range(0, len(task_ids), PAGE):
            answer = self.call("POST", "/v1/tasks/remove", {"ids": task_ids[first : first + PAGE]})
            total = {name: total[name] + answer[name] for name in total}
        return total

    def task_types(self) -> list[dict[str, Any]]:
        """Give the task types."""
        found: list[dict[str, Any]] = []
        after: str | None = ""
        while after is not None:
            page = self.call("GET", "/v1/task-types" + (f"?after={quote(after, safe='')}" if after else ""))
            found, after = found + page["task_types"], page.get("next_after")
        return found

    def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, *, repeat: bool = True
    ) -> Any:
        """Give the JSON value that the API answers with. Raises Refused, and CommandError where it does not answer.

        ``repeat`` False: made once only, since its repetition would be refused where it was the answer that got lost.
        """
        options: dict[str, Any] = {"headers": dict(headers or {})}
        if body is not None:
            options["headers"]["content-type"] = "application/json"
            options["content"] = json.dumps(body, ensure_ascii=False).encode()
        response = self._answer(method, path, options, TRIES if repeat else 1)
        try:
            value = response.json()
        except ValueError:
            value = None
        if response.is_success and value is not None:
            return value
        if response.is_success and not response.content:
            return None
        raise Refused(response.status_code, self._refusal(response, value))

    def _one(self, *request: Any, repeat: bool = True) -> Task:
        task: Task = self.call(*request, repeat=repeat)
        return task

    def _answer(self, method: str, path: str, options: dict[str, Any], tries: int) -> httpx.Response:
        pause, reason = FIRST_PAUSE, ""
        for tried in range(1, tries + 1):
            try:
                response = self._http.request(method, path, **options)
            except httpx.ConnectError as exc:
                raise CommandError(
                    f"Nothing answers at {self.url} ({exc}): start it with `make run`, or say where it is with --url."
                ) from exc
            except httpx.TransportError as exc:
                reason = str(exc) or type(exc).__name__
            else:
                if response.status_code not in (429, 503) or tried == tries:
                    return response
                after = response.headers.get("retry-after", "")
                pause = float(after) if after.isdecimal() else pause
            if tried < tries:
                time.sleep(min(pause, LONGEST_PAUSE))
                pause *= 2
        raise CommandError(f"{self.url} did not answer {method} {path.partition('?')[0]}: {reason}.")

    def _refusal(self, response: httpx.Response, value: Any) -> str:
        if isinstance(value, dict) and ("detail" in value or "title" in value):
            return sentence_of(value)
        if response.status_code in (401, 403):
            return f"{self.url} does not let you in ({response.status_code}): sign in to AWS, or see --url."
        return f"{self.url} answered {response.status_code} {response.reason_phrase}, and not as Tasklane does."

    def _task(self, task_id: str, rest: str = "") -> str:
        if "/" in task_id:
            raise CommandError(f"{task_id!r} is no task's id.")
        return f"/v1/tasks/{in_a_path(task_id)}{rest}"


def in_a_path(name: str) -> str:
    """Give a name as the last segment of a path. Raises CommandError for one that would lead elsewhere."""
    if not name.strip("./") or not name.isprintable():
        raise CommandError(f"{name!r} is no name of anything.")
    return quote(name, safe="")
