"""What a handler author writes, what is refused at once, and what becomes of payloads and results."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel, Field

from tasklane.context import TaskContext
from tasklane.errors import ConfigurationError, InvalidPayload, InvalidResult, UnknownTaskType
from tasklane.registry import Registry, TaskType, load_handlers
from tasklane.retry import IDEMPOTENT, RetryPolicy


class Order(BaseModel):
    number: int = Field(gt=0)
    lines: list[str] = []


class Receipt(BaseModel):
    paid: bool
    at: datetime


class Size(StrEnum):
    SMALL = "small"


@dataclass
class Parcel:
    weight: float


def pay(payload: Order) -> Receipt:
    """Take the money.

    At once.
    """
    raise NotImplementedError


@pytest.fixture
def registry() -> Registry:
    return Registry()


# -- registering -------------------------------------------------------------------------------------------------------


def test_a_plain_function_becomes_a_handler_and_stays_callable(registry: Registry) -> None:
    retry = RetryPolicy(max_attempts=7)

    registered = registry.task("pay", priority=5, timeout_seconds=30, retry=retry)(pay)

    found = registry.find("pay")
    assert registered is pay
    assert (found.handler, found.payload_type, found.result_type) == (pay, Order, Receipt)
    assert (found.priority, found.timeout_seconds, found.retry) == (5, 30, retry)
    assert (found.is_async, found.wants_context) == (False, False)
    assert found.description == "Take the money."


def test_an_async_function_may_want_its_context(registry: Registry) -> None:
    @registry.task("ship")
    async def ship(payload: Order, context: TaskContext) -> None: ...

    found = registry.find("ship")
    assert (found.is_async, found.wants_context, found.result_type) == (True, True, type(None))
    assert (found.priority, found.timeout_seconds, found.retry) == (3, 60, RetryPolicy())
    assert found.description == ""


def test_a_result_that_is_not_annotated_may_be_anything(registry: Registry) -> None:
    @registry.task("free")
    def free(payload: Order):  # type: ignore[no-untyped-def]  # noqa: ANN202
        return payload

    assert registry.find("free").dump_result({"a": [1]}) == b'{"a":[1]}'


def without_payload() -> None: ...
def three_parameters(payload: Order, context: TaskContext, more: int) -> None: ...
def without_annotation(payload) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001
def no_model(payload: dict[str, Any]) -> None: ...
def keyword_only(payload: Order, *, context: TaskContext) -> None: ...
def any_number(*payload: Order) -> None: ...
def forward(payload: "NoSuchModel") -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    "handler",
    [
        without_payload,
        three_parameters,
        without_annotation,
        no_model,
        keyword_only,
        any_number,
        forward,
        pytest.param(partial(pay), id="partial"),
    ],
)
def test_a_function_that_is_no_handler_is_refused_by_name(registry: Registry, handler: Callable[..., Any]) -> None:
    with pytest.raises(ConfigurationError, match="'broken'"):
        registry.task("broken")(handler)
    assert not registry.types


@pytest.mark.parametrize(
    ("defaults", "says"),
    [
        ({"timeout_seconds": 0}, "timeout_seconds of 'pay' is not from 1 to 900"),
        ({"timeout_seconds": 901}, "timeout_seconds of 'pay' is not from 1 to 900"),
        ({"priority": 0}, "no lane for the priority of 'pay'"),
        ({"priority": 6}, "no lane for the priority of 'pay'"),
        ({"priority": "high"}, "no lane for the priority of 'pay'"),
        ({"timeout_seconds": 1.5}, "timeout_seconds of 'pay' is not from 1 to 900"),
        ({"retry": 3}, "retry of 'pay' is a RetryPolicy or the name of one, not 3"),
    ],
)
def test_defaults_out_of_range_are_refused(registry: Registry, defaults: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        registry.task("pay", **defaults)(pay)


@pytest.mark.parametrize("name", ["", 5, None])
def test_a_name_is_a_text(registry: Registry, name: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"the name of a task type is a text, not {name!r}"):
        registry.task(name)


def test_a_decorator_without_a_name_is_refused_and_not_ignored(registry: Registry) -> None:
    with pytest.raises(ConfigurationError, match=r'@task wants the name of the task type: @task\("name"\)'):
        registry.task(pay)  # type: ignore[arg-type]


def test_a_name_is_registered_once(registry: Registry) -> None:
    registry.task("pay")(pay)

    with pytest.raises(ConfigurationError, match="'pay' is registered twice"):
        registry.declare_external("pay")


def test_a_type_for_external_workers_has_no_handler(registry: Registry) -> None:
    declared = registry.declare_external("scan", priority=2)

    assert registry.find("scan") is declared
    assert (declared.handler, declared.is_async, declared.priority) == (None, False, 2)
    assert declared.description == "Done by external workers."
    assert declared.parse_payload('{"any":"thing"}') == {"any": "thing"}


def test_an_unknown_name_is_answered_with_the_known_ones(registry: Registry) -> None:
    registry.task("pay")(pay)
    registry.declare_external("book")

    with pytest.raises(UnknownTaskType, match="'sell'") as caught:
        registry.find("sell")

    assert caught.value.known == ("book", "pay")
    assert caught.value.issues[0] == {"pointer": "/type", "detail": "Known task types: book, pay."}
    assert UnknownTaskType("x", []).issues[0]["detail"] == "Known task types: none."


def test_the_types_cannot_be_changed_from_outside(registry: Registry) -> None:
    with pytest.raises(TypeError):
        registry.types["x"] = TaskType(name="x")  # type: ignore[index]


def test_the_handlers_that_come_with_tasklane_are_found() -> None:
    assert set(load_handlers().types) >= {"echo", "FibonacciTask", "sleep", "fetch_url"}


# -- payloads ----------------------------------------------------------------------------------------------------------


def test_a_payload_reaches_the_handler_as_its_model(registry: Registry) -> None:
    registry.task("pay")(pay)

    assert registry.find("pay").parse_payload('{"number":3,"lines":["a"]}') == Order(number=3, lines=["a"])


def test_each_wrong_field_of_a_payload_is_pointed_at(registry: Registry) -> None:
    registry.task("pay")(pay)

    with pytest.raises(InvalidPayload, match="'pay'") as caught:
        registry.find("pay").parse_payload('{"number":0,"lines":["a",7]}')

    assert {issue["pointer"] for issue in caught.value.issues} == {"/payload/number", "/payload/lines/1"}
    assert all(issue["detail"] for issue in caught.value.issues)


def test_pointers_are_escaped_and_issues_bounded() -> None:
    kind = TaskType(name="map", payload_type=dict[str, int])

    with pytest.raises(InvalidPayload) as caught:
        kind.parse_payload(json.dumps({"a/b~c": "x", **{f"k{n}": "x" for n in range(50)}}))

    assert caught.value.issues[0]["pointer"] == "/payload/a~1b~0c"
    assert len(caught.value.issues) == 20


@pytest.mark.parametrize("text", ["[]", "null", "17", "{", '{"number":' * 500])
def test_what_is_no_object_is_an_invalid_payload(registry: Registry, text: str) -> None:
    registry.task("pay")(pay)

    with pytest.raises(InvalidPayload):
        registry.find("pay").parse_payload(text)


# -- results -----------------------------------------------------------------------------------------------------------

AT = datetime(2026, 1, 31, 8, 30, tzinfo=UTC)
ANYTHING = TaskType(name="anything")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        ({"a": [1, 2.5, True, None, "ü🦊"]}, '{"a":[1,2.5,true,null,"ü🦊"]}'),
        (Receipt(paid=True, at=AT), '{"paid":true,"at":"2026-01-31T08:30:00Z"}'),
        ([Receipt(paid=False, at=AT)], '[{"paid":false,"at":"2026-01-31T08:30:00Z"}]'),
        (Parcel(weight=1.5), '{"weight":1.5}'),
        ({7}, "[7]"),
        ((1, 2), "[1,2]"),
        (AT, '"2026-01-31T08:30:00Z"'),
        (Size.SMALL, '"small"'),
        ({1: "one"}, '{"1":"one"}'),
        (10**30, "1" + "0" * 30),
    ],
)
def test_a_result_is_kept_as_json(value: Any, text: str) -> None:
    assert ANYTHING.dump_result(value).decode() == text


def test_a_result_is_checked_against_its_annotation() -> None:
    kind = TaskType(name="pay", result_type=Receipt)

    assert kind.dump_result({"paid": True, "at": AT}) == b'{"paid":true,"at":"2026-01-31T08:30:00Z"}'
    with pytest.raises(InvalidResult, match="'pay' cannot be kept as JSON"):
        kind.dump_result({"paid": "perhaps", "at": AT})


def cyclic() -> list[Any]:
    ring: list[Any] = []
    ring.append(ring)
    return ring


def deep() -> list[Any]:
    nested: list[Any] = []
    for _ in range(5000):
        nested = [nested]
    return nested


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(float("nan"), id="NaN"),
        pytest.param({"a": [float("-inf")]}, id="infinity"),
        pytest.param(Parcel(weight=float("nan")), id="NaN in a dataclass"),
        pytest.param({1.5, float("inf")}, id="infinity in a set"),
        pytest.param("\ud800", id="half a character"),
        pytest.param({"\udfff": 1}, id="half a character in a key"),
        pytest.param(b"\xff\xfe", id="bytes that are no text"),
        pytest.param(object(), id="an object"),
        pytest.param(lambda: 1, id="a function"),
        pytest.param(cyclic(), id="a ring"),
        pytest.param(deep(), id="nested too deeply"),
        pytest.param(ValueError("returned, not raised"), id="an exception"),
    ],
)
def test_a_result_that_is_no_json_is_an_invalid_result(value: Any) -> None:
    with pytest.raises(InvalidResult, match="cannot be kept as JSON"):
        ANYTHING.dump_result(value)


def test_a_model_with_a_number_that_is_none_is_an_invalid_result() -> None:
    class Average(BaseModel):
        value: float
        note: str | None = None

    kind = TaskType(name="average", result_type=Average)

    assert kind.dump_result(Average(value=1.5)) == b'{"value":1.5,"note":null}'
    with pytest.raises(InvalidResult, match="not JSON compliant"):
        kind.dump_result(Average(value=float("nan")))


def test_a_huge_result_is_dumped_whole() -> None:
    assert len(ANYTHING.dump_result(["x" * 1000] * 6000)) > 6_000_000


# -- policies by name --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["idempotent", IDEMPOTENT])
def test_an_idempotent_type_is_tried_three_times_ten_seconds_apart_for_a_minute_each(given: Any) -> None:
    registry = Registry()

    @registry.task("ship", retry=given)
    def ship(payload: Order) -> None: ...

    found = registry.find("ship")
    assert (found.retry.max_attempts, found.retry.pauses, found.timeout_seconds) == (3, (10,), 60)


def test_a_side_effect_is_tried_once() -> None:
    registry = Registry()

    @registry.task("pay", retry="side_effect", timeout_seconds=5)
    def pay(payload: Order) -> None: ...

    found = registry.find("pay")
    assert (found.retry.max_attempts, found.timeout_seconds) == (1, 5)


def test_a_types_own_timeout_goes_before_its_policys() -> None:
    registry = Registry()

    @registry.task("ship", retry=RetryPolicy(timeout_seconds=7))
    def ship(payload: Order) -> None: ...

    @registry.task("drive", retry=RetryPolicy(timeout_seconds=7), timeout_seconds=8)
    def drive(payload: Order) -> None: ...

    assert [registry.find(name).timeout_seconds for name in ("ship", "drive")] == [7, 8]


def test_a_policy_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="idempotent, side_effect"):
        Registry().task("ship", retry="maybe")
