"""What becomes of payloads and results: models in, JSON out, and what is wrong is pointed at."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import pytest
from pydantic import BaseModel

from tasklane.errors import InvalidPayload, InvalidResult
from tasklane.registry import Registry, TaskType
from tests.unit.registry.conftest import Order, Receipt, pay


class Size(StrEnum):
    SMALL = "small"


@dataclass
class Parcel:
    weight: float


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
