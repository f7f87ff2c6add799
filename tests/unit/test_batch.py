"""A received batch: what is a message goes to the use case, what is none comes again, positions are the batch's own."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from tasklane.batch import run_batch
from tasklane.message import CallbackMessage, TaskMessage
from tests.support.builders import a_message


@dataclass(frozen=True)
class Report:
    unhandled: frozenset[int]


class UseCase:
    """Leaves the messages at these positions (of those it is given) for later."""

    def __init__(self, *unhandled: int) -> None:
        self.report = Report(frozenset(unhandled))
        self.given: Sequence[object] = ()
        self.seconds = 0.0

    def __call__(self, messages: Sequence[object], remaining: Callable[[], float]) -> Report:
        self.given, self.seconds = messages, remaining()
        return self.report


def test_the_messages_reach_the_use_case_in_their_order() -> None:
    messages = [a_message() for _ in range(3)]
    use_case = UseCase()

    unhandled, report = run_batch([one.to_json() for one in messages], TaskMessage, use_case, lambda: 7.0)

    assert (unhandled, report) == (frozenset(), use_case.report)
    assert (use_case.given, use_case.seconds) == (messages, 7.0)


def test_positions_are_those_of_the_batch_though_poison_lies_between() -> None:
    good = [a_message().to_json() for _ in range(3)]

    unhandled, _ = run_batch(["{", good[0], "[]", good[1], good[2]], TaskMessage, UseCase(1), lambda: 7.0)

    assert unhandled == {0, 2, 3}


def test_poison_is_logged_so_that_it_can_be_found(caplog: pytest.LogCaptureFixture) -> None:
    use_case = UseCase()

    unhandled, _ = run_batch(["x" * 500], CallbackMessage, use_case, lambda: 7.0)

    assert unhandled == {0}
    assert list(use_case.given) == []
    (record,) = caplog.records
    assert (record.levelno, record.__dict__["action"], record.__dict__["body"]) == (
        logging.ERROR,
        "poison_message",
        "x" * 200,
    )


def test_an_empty_batch_is_no_harm() -> None:
    assert run_batch([], TaskMessage, UseCase(), lambda: 7.0)[0] == frozenset()
