"""What the log says of a failed attempt: what follows, and the handler's own trace."""

import logging
import threading
from typing import Any

import pytest

from tasklane.registry import Registry
from tasklane.retry import RetryPolicy
from tasklane.timestamps import rfc3339
from tests.support.builders import NOW
from tests.support.installation import Installation
from tests.support.payloads import Anything
from tests.unit.execute.conftest import PATIENCE, SHORT, ran


def failed_lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, Any], str]]:
    lines = [line for line in caplog.records if line.__dict__.get("action") == "attempt_failed"]
    return [(line.getMessage(), line.__dict__, logging.Formatter().format(line)) for line in lines]


def test_the_line_about_a_failed_attempt_says_what_follows(
    home: Installation, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    @registry.task("it", retry=RetryPolicy.fixed(10))
    def fail(payload: Anything) -> None:
        raise OSError("no space left")

    home.submit("it", max_attempts=2)
    home.work()
    home.clock.advance(10)
    home.work()

    (first, first_keys, _), (last, last_keys, _) = failed_lines(caplog)
    assert first == "An attempt failed; another one follows."
    assert (first_keys["next_attempt_at"], first_keys["attempts_left"]) == (rfc3339(NOW + 10_000), 1)
    assert last == "An attempt failed, and with it the task."
    assert ("next_attempt_at" in last_keys, last_keys["attempts_left"]) == (False, 0)


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_the_trace_of_a_failed_attempt_begins_in_the_handler(
    home: Installation, registry: Registry, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    def plain(payload: Anything) -> None:
        raise OSError("no space left")

    async def waiting(payload: Anything) -> None:
        plain(payload)

    ran(home, registry, plain if kind == "plain" else waiting)

    ((_, _, text),) = failed_lines(caplog)
    assert text.count('File "') == text.count(__file__) == (1 if kind == "plain" else 2)
    assert "no space left" in text


def test_an_attempt_that_was_timed_out_has_no_trace(
    home: Installation, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    over = threading.Event()

    @registry.task("it")
    def late(payload: Anything) -> None:
        over.wait(PATIENCE)

    home.submit("it")
    home.work(seconds=SHORT)
    over.set()

    ((_, _, text),) = failed_lines(caplog)
    assert 'File "' not in text
    assert "AttemptTimedOut: The attempt was still running" in text
