"""Clients that send too much, or too slowly: the others are served as before."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Final

import httpx
import pytest

from tests.e2e.local_run import LocalRun
from tests.faults.figures import Figures
from tests.faults.hostile import Memory, client_of, ended, hostile_run, judged, submit
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.long]

TEN_MIB: Final = 10 * 1024 * 1024
FIVE_MIB: Final = 5 * 1024 * 1024
JSON: Final = {"content-type": "application/json"}
HALF_OPEN: Final = 300
BODIES: Final = 100


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRun]:
    with hostile_run(tmp_path_factory.mktemp("clients")) as run:
        yield run


@contextmanager
def others_at_work(run: LocalRun) -> Iterator[list[str]]:
    """Somebody else submits a task after another; the tasks' ids."""
    over, accepted, wrong = threading.Event(), list[str](), list[Exception]()

    def work() -> None:
        try:
            with client_of(run) as client:
                while not over.wait(0.05):
                    accepted.append(submit(client, "FibonacciTask", 10))
        except Exception as exc:  # noqa: BLE001 - the test's thread raises it
            wrong.append(exc)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield accepted
    finally:
        over.set()
        thread.join()
    assert not wrong, wrong


# -- too much ----------------------------------------------------------------------------------------------------------


def body(size: int) -> bytes:
    return json.dumps({"type": "echo", "payload": {"pad": "x" * size}}).encode()


def chunks(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), 65_536):
        yield content[start : start + 65_536]


@pytest.mark.row("large-bodies")
def test_bodies_that_are_too_large_are_refused_and_cost_no_memory(
    run: LocalRun, record: Callable[[Figures], None]
) -> None:
    ten, five = body(TEN_MIB), body(FIVE_MIB - 100)

    def post(number: int) -> httpx.Response:
        content = chunks(ten) if number % 2 else ten
        return httpx.post(f"{run.url}/v1/tasks", content=content, headers=JSON, timeout=120)

    def post_what_fits(_: int) -> httpx.Response:
        return httpx.post(f"{run.url}/v1/tasks", content=five, headers=JSON, timeout=120)

    with (
        Memory("infra.local.api_process", str(run.folder)) as memory,
        others_at_work(run) as others,
        ThreadPoolExecutor(40) as pool,
    ):
        refused = pool.map(post, range(20))
        taken = pool.map(post_what_fits, range(20))
        answers, accepted = list(refused), list(taken)

    assert {(answer.status_code, answer.json()["type"]) for answer in answers} == {
        (413, "urn:tasklane:problem:too-large")
    }
    assert {answer.status_code for answer in accepted} == {202}
    assert memory.peak_mb < 350, "twenty bodies of 10 MiB and twenty of 5 MiB"
    with client_of(run) as client:
        tasks = ended(client, [*others, *(answer.json()["id"] for answer in accepted)])
    assert {task["status"] for task in tasks} == {"completed"}
    assert len(others) > 5
    found = judged(tasks)
    record(Figures(tried=len(tasks) + len(answers), lost=found.lost, doubled=found.doubled))


# -- too slowly --------------------------------------------------------------------------------------------------------


@contextmanager
def half_open(run: LocalRun, count: int, sent: bytes) -> Iterator[Sequence[socket.socket]]:
    """So many connections that have sent this and no more."""
    with ExitStack() as stack:
        clients = []
        for _ in range(count):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", run.port), timeout=30))
            client.sendall(sent)
            clients.append(client)
        yield clients


def is_open(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return bool(client.recv(65_536, socket.MSG_PEEK))
    except BlockingIOError:
        return True
    except OSError:
        return False


def drip(clients: Sequence[socket.socket], over: threading.Event) -> None:
    """A byte each, again and again."""
    while not over.wait(0.5):
        for client in clients:
            try:
                client.send(b"x")
            except OSError:
                continue


@pytest.mark.row("slow-clients")
def test_hundreds_of_half_open_requests_keep_nobody_from_being_served(
    run: LocalRun, record: Callable[[Figures], None]
) -> None:
    headers = b"POST /v1/tasks HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
    over = threading.Event()
    with (
        half_open(run, HALF_OPEN, headers + b"X-Drip: ") as without_headers,
        half_open(run, BODIES, headers + b"Content-Length: 100000\r\n\r\n{") as without_body,
        ThreadPoolExecutor(1) as pool,
        client_of(run) as client,
    ):
        dripping = pool.submit(drip, [*without_headers, *without_body], over)
        slowest, accepted = 0.0, list[str]()
        try:
            for _ in range(40):
                began = time.monotonic()
                accepted.append(submit(client, "FibonacciTask", 10))
                slowest = max(slowest, time.monotonic() - began)
            assert all(map(is_open, without_body)), "they were there all the time"
            tasks = ended(client, accepted)
            wait_for(lambda: not any(map(is_open, without_headers)), seconds=60)
        finally:
            over.set()
        dripping.result()

    assert slowest < 5
    assert {task["status"] for task in tasks} == {"completed"}
    record(judged(tasks))
