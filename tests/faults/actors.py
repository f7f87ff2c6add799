"""What runs in the processes that the tests kill: the product's own parts, with the tests' handlers and clock."""

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import uvicorn

import tasklane.callback
import tasklane.throttle
import tasklane.visibility
import tasklane.watch
import worker.poller
from api.app import create_app
from tasklane.adapters.http import HttpClient, OutboundGuard
from tasklane.adapters.memory import MemoryMailer, StaticSigningSecrets
from tasklane.bootstrap import Services
from tasklane.ports import Delivery, MessageSource
from tests.faults import crash, patience
from tests.faults.clock import VARIABLE, SharedClock
from tests.faults.crash_steps import steps
from tests.faults.patience import Patience, PatientServices
from tests.faults.task_types import World, task_types
from tests.support.builders import SECRET
from worker.poller import Poller, make_poller

ORPHAN_LOOK_SECONDS: Final = 0.5
WORN_OUT: Final = 75
"""How a worker ends that takes no more work."""
POLL_SECONDS: Final = 0.05
RECEIVERS: Final = "127.0.0.1"

# Here, so that it is done once, in the server that all these processes are forked from. What cannot be followed is
# for the test of the crash points to say.
with contextlib.suppress(ValueError):
    steps()


def play(actor: str, folder: Path, environment: Mapping[str, str]) -> None:
    """Be ``actor`` in this process. What it prints goes to the file ``log-PID`` in ``folder``."""
    log = os.open(folder / f"log-{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, force=True)
    logging.getLogger().handlers[0].setFormatter(_Lines())
    world = World(folder=folder)
    PatientServices.patience = Patience(float(environment.get(patience.VARIABLE) or 0) or None)
    skew = int(environment.get("FAULTS_SKEW_MS", "0"))
    services: Services = PatientServices(
        registry=task_types(world),
        clock=SharedClock(path=Path(environment[VARIABLE]), skew_ms=skew),
        secrets=StaticSigningSecrets(SECRET),
        mailer=MemoryMailer(),
    )
    point = environment.get(crash.VARIABLE)
    if actor.startswith("work"):
        vars(services)["source"] = Counted(ShortPolls(services.source) if point else services.source, world)
    if point:
        services = crash.mortal(services, folder, point)
    ACTORS[actor](services, world)


class ShortPolls:
    """Receives without letting the engine wait: a long poll outlives its process, and takes a message with it."""

    def __init__(self, source: MessageSource) -> None:
        self._source = source

    def receive(self, lane: int, limit: int, wait_seconds: int) -> list[Delivery]:
        if not (found := self._source.receive(lane, limit, 0)):
            time.sleep(POLL_SECONDS)
        return found

    def acknowledge(self, lane: int, handles: Sequence[str]) -> None:
        self._source.acknowledge(lane, handles)

    def extend(self, lane: int, handles: Sequence[str]) -> int:
        return self._source.extend(lane, handles)

    def release(self, lane: int, handles: Sequence[str], delay_seconds: int) -> None:
        self._source.release(lane, handles, delay_seconds)


class Counted:
    """Tells the world how many messages this process has received and not let go of."""

    def __init__(self, source: MessageSource, world: World) -> None:
        self._source = source
        self._world = world
        self._in_hand = 0
        self._counting = threading.Lock()

    def receive(self, lane: int, limit: int, wait_seconds: int) -> list[Delivery]:
        found = self._source.receive(lane, limit, wait_seconds)
        self._count(len(found))
        return found

    def acknowledge(self, lane: int, handles: Sequence[str]) -> None:
        try:
            self._source.acknowledge(lane, handles)
        finally:
            self._count(-len(handles))

    def extend(self, lane: int, handles: Sequence[str]) -> int:
        return self._source.extend(lane, handles)

    def release(self, lane: int, handles: Sequence[str], delay_seconds: int) -> None:
        try:
            self._source.release(lane, handles, delay_seconds)
        finally:
            self._count(-len(handles))

    def _count(self, change: int) -> None:
        if change:
            with self._counting:
                self._in_hand += change
                self._world.note_in_hand(self._in_hand)


def work(services: Services, world: World, *, runners: int) -> None:
    """Poll lanes and callback queue until killed, or worn out."""
    # Half a minute on purpose in the product, where it keeps an outage from burning receive counts.
    vars(worker.poller)["RELEASE_SECONDS"] = 0
    # So that a claim which the proxy delays outlasts a time slot.
    vars(tasklane.throttle)["LEAD_MS"] = 20
    # So that a time limit can be longer than what a batch has.
    vars(worker.poller)["BATCH_SECONDS"] = 800.0
    # What a handler says is written every two seconds at most, what it asks is looked up each second: a test waits.
    vars(tasklane.watch)["NEWS_SECONDS"] = 0.1
    vars(tasklane.watch)["LOOK_SECONDS"] = 0.1
    vars(tasklane.watch)["WATCH_SECONDS"] = 0.1
    vars(tasklane.visibility)["HEARTBEAT_SECONDS"] = 0.1
    poller: Poller = make_poller(services, callbacks=True, runners=runners, wait_seconds=1)
    _ = services.store, services.execute, services.deliver_callbacks, services.source
    world.open_gate(f"ready-{os.getpid()}")
    world.wait_at_gate("work")
    poller.start()
    poller.wait()
    poller.stop()
    os._exit(WORN_OUT)


def work_in_a_storm(services: Services, world: World) -> None:
    """Work, as deployed where the outbound guard is concerned, and with less patience for receivers."""
    vars(services)["http"] = HttpClient(OneAddress())
    vars(tasklane.callback)["TIMEOUT_SECONDS"] = 1.0
    work(services, world, runners=4)


class OneAddress(OutboundGuard):
    """The deployed installation's guard, but that the tests' receivers count as public: by that spelling alone."""

    def addresses(self, host: str, port: int, seconds: float | None = None) -> list[str]:
        return [host] if host == RECEIVERS else super().addresses(host, port, seconds)


def serve(services: Services, world: World) -> None:
    """Serve the API, at the port in the file ``port``, until killed."""
    _ = services.submit, services.read
    with socket.create_server(("127.0.0.1", 0)) as listener:
        (world.folder / "port").write_text(str(listener.getsockname()[1]))
        world.open_gate(f"ready-{os.getpid()}")
        config = uvicorn.Config(create_app(services), log_level="warning", lifespan="off")
        uvicorn.Server(config).run(sockets=[listener])


def sweep(services: Services, world: World) -> None:
    """Sweep once, when everybody is ready."""
    _ = services.sweep, services.store, services.queue, services.callback_queue
    world.open_gate(f"ready-{os.getpid()}")
    world.wait_at_gate("sweep")
    print("swept", services.sweep(lambda: 60.0), flush=True)


def clean(services: Services, world: World) -> None:
    """Remove what is kept for the task that the file ``gone`` names, when everybody is ready."""
    task_id, created_at = (world.folder / "gone").read_text().split()
    world.open_gate(f"ready-{os.getpid()}")
    world.wait_at_gate("clean")
    print("left", services.remove_documents([(task_id, int(created_at))]), flush=True)


ACTORS: Final[Mapping[str, Callable[[Services, World], None]]] = {
    "work": partial(work, runners=4),
    "work-on-one-batch": partial(work, runners=1),
    "work-in-a-storm": work_in_a_storm,
    "serve": serve,
    "sweep": sweep,
    "clean": clean,
}


class _Lines(logging.Formatter):
    """A line shows the action that the product's log lines carry."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{record.levelname} {getattr(record, 'action', '-')} {super().format(record)}"


def _end_with_parent(parent: int) -> None:
    """Nothing is left behind, also where the tests themselves were killed."""
    patience = threading.Event()
    while os.getppid() == parent:
        patience.wait(ORPHAN_LOOK_SECONDS)
    os._exit(1)
