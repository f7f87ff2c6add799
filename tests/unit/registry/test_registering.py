"""What a handler author writes, and what is refused at once."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tasklane.context import TaskContext
from tasklane.errors import ConfigurationError, UnknownTaskType
from tasklane.registry import Registry, TaskType, load_handlers
from tasklane.retry import IDEMPOTENT, RetryPolicy
from tests.unit.registry.conftest import Order, Receipt, pay

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
    assert caught.value.issues[0]["pointer"] == "/type"
    assert caught.value.issues[0]["detail"].startswith("Known task types: book, pay. What is declared")
    assert UnknownTaskType("x", []).issues[0]["detail"].startswith("Known task types: none. What is declared")


def test_the_types_cannot_be_changed_from_outside(registry: Registry) -> None:
    with pytest.raises(TypeError):
        registry.types["x"] = TaskType(name="x")  # type: ignore[index]


def test_the_handlers_that_come_with_tasklane_are_found() -> None:
    assert set(load_handlers().types) >= {"echo", "FibonacciTask", "sleep", "fetch_url"}


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
