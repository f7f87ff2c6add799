"""Processes that wait before each of their writes until the stateful test tells them to go on, or to die."""

import threading
import time
from collections.abc import Callable, Sequence
from enum import Enum, auto
from math import inf
from queue import SimpleQueue
from typing import Any

from tasklane.ending import Ending
from tasklane.run import Run
from tasklane.watch import Watch
from tests.support.waiting import PATIENCE_SECONDS


class Crash(BaseException):  # nobody but the test is to catch it
    """The process dies here."""


class Order(Enum):
    """What a waiting process is told."""

    GO = auto()
    BEAT = auto()
    """Renew the lease, where a handler is at work; else as GO."""
    TIME_OUT = auto()
    """The attempt's time is up, where a handler is at work; else as GO."""
    DIE = auto()


class Held:
    """A call in a thread of its own. It and the test take turns, so that a failing example can be repeated."""

    def __init__(self) -> None:
        self._entered: set[tuple[str, int]] = set()
        """Runs whose handlers have begun."""
        self._gate = threading.Event()
        """The handlers that have begun may go on."""
        self.over = False
        """The call has ended, or died: a handler that it left behind is not to do anything more."""
        self.ended = False
        self._orders: SimpleQueue[Order] = SimpleQueue()
        self._turns: SimpleQueue[bool] = SimpleQueue()
        self._error: Exception | None = None

    def start(self, call: Callable[[], object]) -> None:
        """Begin, and go as far as the first wait."""
        threading.Thread(target=self._run, args=(call,), name="held", daemon=True).start()
        self._wait()

    def tell(self, order: Order) -> None:
        """Go on as far as the next wait, or to the end. Raises what the call raised."""
        self._orders.put(order)
        self._wait()

    def kill(self) -> None:
        """Wherever it waits, it does not go on: a thread that is left waiting would keep the tests from ending."""
        while not self.ended:
            self._orders.put(Order.DIE)
            self.ended = self._turns.get(timeout=PATIENCE_SECONDS)

    def enter(self, task_id: str, run: int) -> threading.Event:
        """In a handler: it has begun, and is to wait for this."""
        gate = self._gate
        self._entered.add((task_id, run))
        return gate

    def has_entered(self, run: Run) -> bool:
        """Whether the handler of a run has begun."""
        return (run.task.id, run.task.run) in self._entered

    def let_go(self) -> None:
        """Let the handlers that have begun go on; those that begin later wait for their turn."""
        gate, self._gate = self._gate, threading.Event()
        gate.set()

    def pause(self) -> Order:
        """In the process: wait for what the test says."""
        self._turns.put(False)
        if (order := self._orders.get()) is Order.DIE:
            raise Crash
        return order

    def _run(self, call: Callable[[], object]) -> None:
        try:
            call()
        except Crash:
            pass
        except Exception as exc:  # noqa: BLE001 - the test's thread raises it
            self._error = exc
        finally:
            self.over = True
            self._gate.set()
            self._turns.put(True)

    def _wait(self) -> None:
        self.ended = self._turns.get(timeout=PATIENCE_SECONDS)
        if self._error is not None:
            raise self._error


class HeldWatch(Watch):
    """Looks up from waiting when the test says so: heartbeats and time limits take no time."""

    def __init__(self, held: Held, **ports: Any) -> None:
        super().__init__(**ports)
        self._held = held

    def _wait(self, runs: Sequence[Run], ending: Ending) -> None:
        if not runs:  # its outcome waits for the table or the bucket
            super()._wait(runs, ending)
            return
        while not all(self._held.has_entered(run) or run.future.done() for run in runs):
            time.sleep(0.0005)  # the handlers are on their way
        if all(run.future.done() for run in runs):
            return
        match self._held.pause():
            case Order.BEAT:
                for run in runs:
                    run.renewed = -inf
            case Order.TIME_OUT:
                for run in runs:
                    run.deadline = -inf
            case _:
                self._held.let_go()
                until = time.monotonic() + PATIENCE_SECONDS
                while not all(run.future.done() for run in runs) and time.monotonic() < until:
                    super()._wait(runs, ending)
