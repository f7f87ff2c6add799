"""Receivers that take a callback and never answer, or answer a byte at a time: the others are told as before."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import cast

import pytest

from tasklane.task import CallbackState, Status, Task
from tests.faults.figures import Figures
from tests.faults.history import figures
from tests.faults.installation import Installation
from tests.faults.processes import workers
from tests.faults.receiver import Receiver, _Post, receiving
from tests.faults.recovery import recover_there
from tests.support.waiting import wait_for

DRIP = b"HTTP/1.1 200 OK\r\n" + b"X-Drip: " + b"x" * 1000


class Silent(Receiver):
    """Says nothing, or drips its answer's headers, until it is ``well``."""

    def __init__(self, *, drips: bool) -> None:
        super().__init__(lambda _task_id, _before: 204)
        self.RequestHandlerClass = _Silent
        self.drips = drips
        self.well = threading.Event()


class _Silent(_Post):
    def do_POST(self) -> None:  # noqa: N802 - the name that http.server wants
        server = cast("Silent", self.server)
        if server.well.is_set():
            super().do_POST()
            return
        self.close_connection = True
        if not server.drips:
            server.well.wait()
            return
        with suppress(OSError):
            for byte in DRIP:
                self.wfile.write(bytes([byte]))
                if server.well.wait(0.2):
                    return


@contextmanager
def silent(*, drips: bool) -> Iterator[Silent]:
    receiver = Silent(drips=drips)
    thread = threading.Thread(target=receiver.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.well.set()
        receiver.shutdown()
        receiver.server_close()
        thread.join()


def tries(task: Task) -> int:
    return len(task.callback.history) if task.callback else 0


def is_delivered(task: Task) -> bool:
    return task.callback is not None and task.callback.state is CallbackState.DELIVERED


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.row("silent-receiver")
def test_receivers_that_never_answer_keep_no_callback_from_the_others(
    installation: Installation, record: Callable[[Figures], None]
) -> None:
    services = installation.services()
    with receiving() as good, silent(drips=False) as mute, silent(drips=True) as dripping, workers(installation):
        untold = installation.submit(services, numbers=range(10), callback_url=mute.url)
        untold += installation.submit(services, numbers=range(10), callback_url=dripping.url)
        told = installation.submit(services, numbers=range(20), callback_url=good.url)
        wait_for(lambda: all(map(is_delivered, installation.tasks(told))), seconds=120)
        assert {task.status for task in installation.tasks(untold)} == {Status.COMPLETED}
        wait_for(lambda: all(map(tries, installation.tasks(untold))), seconds=120)

        for task in installation.tasks(untold):
            assert task.callback is not None
            assert (task.callback.state, task.callback.history[0].status_code) == (CallbackState.PENDING, None)
            assert task.callback.history[0].error
        well_at = installation.clock.now()
        mute.well.set()
        dripping.well.set()
        recover_there(installation, services, [*untold, *told])
        answered = {**good.answered, **mute.answered, **dripping.answered}

    assert all(map(is_delivered, installation.tasks([*untold, *told])))
    assert {task.id: answered[task.id] for task in (*untold, *told)} == {task.id: [204] for task in (*untold, *told)}
    record(figures(installation, [*untold, *told], since=well_at))
