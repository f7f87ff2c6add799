"""What schemathesis is told about this API that an OpenAPI document has no words for, and what it checks besides.

Loaded by schemathesis itself (SCHEMATHESIS_HOOKS), in the process that test_openapi.py starts.
"""

from __future__ import annotations

import json
import os
import re
import time
import urllib.request
import zlib
from collections import Counter
from typing import TYPE_CHECKING, Any

import schemathesis
from pydantic import HttpUrl, TypeAdapter, ValidationError
from schemathesis.openapi.checks import RejectedPositiveData

if TYPE_CHECKING:
    from schemathesis import Case, CheckContext, HookContext, Response
    from schemathesis.core.failures import Failure

API = os.environ["FUZZ_API"]
RECEIVER = os.environ["FUZZ_RECEIVER"]
REPORT = os.environ["FUZZ_REPORT"]

SHORT = 0.2
"""Seconds that a caller waits, or that a task takes: more of it would fill connections and lanes."""
TYPES: tuple[tuple[str, dict[str, Any] | None], ...] = (
    ("echo", None),
    ("fetch_url", {"url": RECEIVER}),  # the receiver refuses: these fail
    ("sleep", {"seconds": SHORT}),
)
"""What a valid, and nearly always unknown, task type is replaced by: name, and the payload where not any will do."""

STATES: tuple[str, ...] = ("scheduled", "cancelled", "completed")
"""States of the tasks that every third call of an operation on a task is given."""

BEYOND_THE_SCHEMA: tuple[tuple[str, str], ...] = (
    ("invalid-parameter", " The cursor "),  # it is what an answer gave
    ("invalid-request", ".* Must have neither control or other invisible characters"),
    ("invalid-parameter", ".* Must have neither control or other invisible characters"),
    ("invalid-request", "/(run_at|expires_at|delay_seconds) "),  # times relate to now and to each other
    ("invalid-request", "/retry Give pauses, or base_seconds"),
    ("invalid-request", "/callback_url (Must not carry credentials|Input should be a valid URL)"),
    ("invalid-request", "/callback_url (.* is not a public address|Nobody listens at port 0)"),
    ("invalid-request", "/callback_events Give a callback_url"),
    ("invalid-request", " Give max_concurrent, rate or both"),  # nulls are neither
    ("idempotency-conflict", ""),
    ("unknown-task-type", "/(type|task_type) "),
    ("invalid-payload", "/(payload|input_data|parameters)"),
)
"""Why data that fits the schema may be refused: the problem's type, and how a pointer with its detail begins."""

HELD = ("POST /v1/leases/", "POST /submit_result")
"""What only whoever has fetched a task can do."""
OF_EVERY_ANSWER = frozenset({"date", "server", "content-type", "content-length", "transfer-encoding"})
UNROUTED = frozenset({"not-found", "method-not-allowed"})
"""Problems of addresses and methods that are no operation of the document."""

_URL: TypeAdapter[HttpUrl] = TypeAdapter(HttpUrl)
_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_seen: Counter[tuple[str, str]] = Counter()
_calls: Counter[str] = Counter()


@schemathesis.hook
def before_load_schema(context: HookContext, raw_schema: dict[str, Any]) -> None:
    """Let no answer have fields that the document does not name; a problem may (RFC 9457, section 3.2)."""
    for name, schema in raw_schema["components"]["schemas"].items():
        if "properties" in schema and name != "Problem":
            schema.setdefault("additionalProperties", False)


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Turn valid values that lead nowhere, or out of this machine, into valid ones that lead further."""
    wait: Any = case.query.get("wait")
    if _is_number(wait, 20):
        case.query = case.query | {"wait": min(float(wait), SHORT)}
    if isinstance(case.body, dict):
        case.body = _led_further(case.body)
    if _KEY.fullmatch(str(case.headers.get("idempotency-key", ""))):
        _calls["keys"] += 1
        if _calls["keys"] % 4:  # else it belongs to an earlier request
            case.headers["idempotency-key"] = f"key-{_calls['keys']}"
    if case.operation.label.startswith(HELD) and isinstance(case.body, dict):
        _give_a_lease(case)
    elif "task_id" in case.path_parameters:
        _calls[case.operation.label] += 1
        if (count := _calls[case.operation.label]) % 3 == 0:
            case.path_parameters = case.path_parameters | {"task_id": _a_task(STATES[count // 3 % len(STATES)])}
    if isinstance(case.body, dict) and _calls[f"{case.operation.label} leases"] % 2 == 0:
        _hold_a_task(case, case.body)
    _calls[f"{case.operation.label} leases"] += 1


def _hold_a_task(case: Case[Any], body: dict[str, Any]) -> None:
    """Let an external worker's call be about a task that it has just fetched."""
    held = isinstance(body.get("lease_token"), str)
    if not held and not (case.path == "/submit_result" and isinstance(body.get("task_id"), str)):
        return
    _post("/enqueue", {"function": "fuzzed", "data": []})
    if held:
        (lease,) = _post("/v1/leases", {"functions": ["fuzzed"], "wait_seconds": 5})["leases"]
        case.path_parameters = case.path_parameters | {"task_id": lease["id"]}
        case.body = body | {"lease_token": lease["lease_token"]}
    else:
        case.body = body | {"task_id": _get("/get_task?function=fuzzed&wait=5")["task_id"]}


@schemathesis.hook
def after_call(context: HookContext, case: Case[Any], response: Response) -> None:
    """Undo what would keep the tasks of all other operations from being done."""
    if case.path.endswith("/pause") and response.status_code < 400:
        _post(case.formatted_path.removesuffix("/pause") + "/resume", None)


def _give_a_lease(case: Case[Any]) -> None:
    """Let every second call be about a task that its caller has just fetched."""
    _calls[case.operation.label] += 1
    if (number := _calls[case.operation.label]) % 2 == 0:
        return
    function = f"{case.operation.label} {number}"
    _post("/enqueue", {"function": function, "data": []})
    (lease,) = _post("/v1/leases", {"functions": [function], "wait_seconds": 5})["leases"]
    if "task_id" in case.path_parameters:
        case.path_parameters = case.path_parameters | {"task_id": lease["id"]}
    given = {"task_id": lease["id"], "lease_token": lease["lease_token"]}
    body: Any = case.body
    case.body = body | {name: value for name, value in given.items() if name in body}


def _a_task(state: str) -> str:
    """The id of a new task in this state: those in earlier answers are mostly of completed tasks, or of none."""
    wish = {"type": "echo", "priority": 5, "callback_url": RECEIVER}
    task_id: str = _post("/v1/tasks", wish | {"delay_seconds": 0 if state == "completed" else 3600})["id"]
    if state == "cancelled":
        _post(f"/v1/tasks/{task_id}/cancel", None)
    elif state == "completed":
        _get(f"/v1/tasks/{task_id}?wait=10&until=final")
    return task_id


def _get(path: str) -> Any:
    with urllib.request.urlopen(API + path) as response:
        return json.load(response)


def _post(path: str, body: Any) -> Any:
    content = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(API + path, content, headers, method="POST")
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def _is_number(value: Any, most: float) -> bool:
    """True where it is a number up to ``most``, as JSON or in a query."""
    try:
        return isinstance(value, int | float | str) and not isinstance(value, bool) and 0 <= float(value) <= most
    except ValueError:
        return False


def _led_further(body: dict[str, Any]) -> dict[str, Any]:
    odd = zlib.crc32(json.dumps(body, sort_keys=True).encode())  # varies, and is the same under the same seed
    changed = {name: RECEIVER if _is_url(value) else value for name, value in body.items()}
    if type(body.get("duration")) in (int, float) and _is_number(body["duration"], 900):
        changed["duration"] = SHORT
    if type(body.get("wait_seconds")) in (int, float) and _is_number(body["wait_seconds"], 20):
        changed["wait_seconds"] = SHORT
    if isinstance(parameters := body.get("parameters"), dict) and _is_number(parameters.get("step_seconds", 0), 60):
        changed["parameters"] = parameters | {"step_seconds": 0}
    for name, seconds in (("run_at", 3600), ("expires_at", 7200)):
        if isinstance(value := body.get(name), str) and _TIME.fullmatch(value) and odd % 4:
            changed[name] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
    if _is_number(body.get("wait_seconds"), 20):
        changed["wait_seconds"] = SHORT
    if (its_type := next((n for n in ("type", "task_type") if _is_name(body.get(n))), None)) is not None:
        changed[its_type], payload = TYPES[odd % len(TYPES)]
        changed |= {name: payload for name in ("payload", "input_data") if payload and isinstance(body.get(name), dict)}
        if odd % 4 and "delay_seconds" in body and isinstance(body.get("run_at"), str):
            changed["delay_seconds"] = None  # one or the other
        elif odd % 2 and body.get("delay_seconds", 0) is None:
            changed["delay_seconds"] = 3600  # so that there are waiting tasks, too
    return changed


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 128 and value.isprintable()


def _is_url(value: Any) -> bool:
    try:
        _URL.validate_python(value)
    except ValidationError:
        return False
    return True


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
    """Accept that valid data is refused where no schema could have told."""
    return not (isinstance(failure, RejectedPositiveData) and _is_beyond_the_schema(_problem(response)))


def _is_beyond_the_schema(problem: dict[str, Any]) -> bool:
    places = problem.get("errors") or [{"pointer": "", "detail": problem["detail"]}]
    known = [pattern for kind, pattern in BEYOND_THE_SCHEMA if kind == _kind(problem)]
    texts = [f"{place['pointer']} {place['detail']}" for place in places]
    return all(any(re.match(pattern, text, re.DOTALL) for pattern in known) for text in texts)


def _problem(response: Response) -> dict[str, Any]:
    problem: dict[str, Any] = json.loads(response.content)
    return problem


def _kind(problem: dict[str, Any]) -> str:
    return str(problem.get("type", "about:blank")).removeprefix("urn:tasklane:problem:")


@schemathesis.check
def answers_are_described(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """Every header that is sent and every kind of problem stands in the document."""
    described = case.operation.definition.raw["responses"].get(str(response.status_code))
    if response.status_code >= 400:
        problem = _problem(response)
        assert response.headers.get("x-correlation-id") == [problem.get("correlation_id")]
        if (kind := _kind(problem)) in UNROUTED:
            return
        assert described, f"{response.status_code} {kind} is not in the document"
        if problems := described["content"].get("application/problem+json"):  # else it has the words of a contract
            assert kind in problems["examples"], f"{kind} is not in the document"
    assert described, f"{response.status_code} is not in the document"
    sent = set(response.headers) - OF_EVERY_ANSWER
    assert sent <= (known := {name.lower() for name in described["headers"]}), f"not in the document: {sent - known}"


@schemathesis.check
class EveryOperationSucceeds:
    """An operation that only ever refused was not tested; also writes down what was answered."""

    def after_response(self, ctx: CheckContext, response: Response, case: Case[Any]) -> None:
        """Count."""
        kind = _kind(_problem(response)) if response.status_code >= 400 else ""
        _seen[case.operation.label, f"{response.status_code} {kind}".strip()] += 1

    def after_run(self, ctx: CheckContext) -> None:
        """See whether each operation took something."""
        with open(REPORT, "w", encoding="utf-8") as report:  # noqa: PTH123 - one line says it
            json.dump([[*key, count] for key, count in sorted(_seen.items())], report)
        refused = {label for label, _ in _seen} - {label for label, answer in _seen if answer < "400"}
        assert not refused, f"only ever refused: {', '.join(sorted(refused))}"
