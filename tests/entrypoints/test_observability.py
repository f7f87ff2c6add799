"""Tracing is asked for by a setting, and paid for only then."""

import sys
from typing import Any

from tasklane.observability import traced
from tests.support.installation import SETTINGS


def function(event: dict[str, Any], context: Any) -> str:
    return f"handled {event['n']}"


def test_without_tracing_a_function_is_left_as_it_is() -> None:
    assert traced(SETTINGS, function) is function


def test_with_tracing_a_function_answers_the_same() -> None:
    wrapped = traced(SETTINGS.model_copy(update={"tracing": True}), function, patch=())

    assert wrapped is not function
    assert wrapped({"n": 1}, None) == "handled 1"
    assert "aws_lambda_powertools.tracing" in sys.modules
