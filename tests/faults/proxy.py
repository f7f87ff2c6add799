"""An HTTP proxy between Tasklane and the engine that breaks what passes, and writes down what the table became.

Which request is broken, and how, follows from its operation and from how many of that operation came before: the same
seed breaks the same requests, however the threads of a run interleave.

Writes to the table pass one at a time, and each is followed by a read of what it touched: so the journal holds every
state that a task ever had, also where the answer to the write was lost.
"""

import contextlib
import http.client
import select
import socket
import socketserver
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any, cast
from urllib.parse import urlsplit

import boto3

from infra.local.target import Target
from tasklane.adapters.items import from_item
from tasklane.task import Task
from tests.faults.plans import DELAY_SECONDS, WAITED_FOR, Fault, Plan, no_faults, random_for
from tests.faults.wire import Answer, Request, error_answer, repeated, send_partly, throttled_answer, written_ids
from tests.support.waiting import wait_for

WRITES = frozenset({"PutItem", "UpdateItem", "BatchExecuteStatement", "TransactWriteItems"})
UPSTREAM_SECONDS = 60.0
WITHHELD_SECONDS = 45.0
"""Longer than any client waits; so a client that waits for ever fails its test instead of hanging it."""


class FaultProxy:
    """Listens on a free port of 127.0.0.1 and forwards to the engine, as ``plan`` lets it."""

    def __init__(self, engine: Target, *, seed: int = 0) -> None:
        self.plan: Plan = no_faults
        self.keeps_journal = True
        """False where what is written is no task."""
        self.faults: Counter[tuple[str, Fault]] = Counter()
        """How often each operation was broken in each way."""
        self.requests: Counter[str] = Counter()
        """How often each operation came."""
        self.timeouts: Counter[str] = Counter()
        """How often the client of each operation had waited long enough, and hung up."""
        self._journal: defaultdict[str, dict[str, list[Task]]] = defaultdict(dict)
        self.kill: Callable[[], None] = _nobody
        """Kills the process that a plan wants dead."""
        self._engine = urlsplit(engine.endpoint)
        self._seed = seed
        self._dynamodb = boto3.client("dynamodb", **engine.client_options)
        self._in_flight = 0
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._ended = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Connection)
        self._server.proxy = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="proxy", daemon=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._server.hang_up()

    def begin(self, plan: Plan) -> None:
        """Break requests by this plan from now on, counting from zero."""
        with self._lock:
            self.requests.clear()
            self.plan = plan

    def journal(self, table: str) -> dict[str, list[Task]]:
        """Every state of every task of a table, in the order in which the table took them, by the task's id."""
        with self._writing:
            return {task_id: list(states) for task_id, states in self._journal[table].items()}

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(
            self._engine.hostname or "", self._engine.port or 80, timeout=UPSTREAM_SECONDS
        )

    def wait_until_quiet(self) -> None:
        """Wait for the requests that are under way: a dead process's receive still takes messages with it."""
        wait_for(lambda: self._in_flight == 0)

    def pass_on(
        self, request: Request, upstream: http.client.HTTPConnection, hangs_up: Callable[[], bool]
    ) -> Answer | None:
        """The answer to a request; None where the connection is to be closed without one.

        ``hangs_up`` waits until the client has, and says whether it did.
        """
        with self._lock:
            self._in_flight += 1
        try:
            answer, fault = self._answer(request, upstream)
        finally:
            with self._lock:
                self._in_flight -= 1
        if fault in WAITED_FOR and hangs_up():
            with self._lock:
                self.timeouts[request.operation] += 1
        return answer

    def _answer(self, request: Request, upstream: http.client.HTTPConnection) -> tuple[Answer | None, Fault | None]:
        number, fault = self._decide(request.operation)
        return self._broken(request, upstream, number, fault), fault

    def _broken(
        self, request: Request, upstream: http.client.HTTPConnection, number: int, fault: Fault | None
    ) -> Answer | None:
        dice = random_for(self._seed, request.operation, number)

        def forward(one: Request) -> Answer:
            return self._forward(one, upstream)

        if fault is Fault.DELAY:
            self._ended.wait(DELAY_SECONDS)
        if fault in (Fault.DROP, Fault.WITHHOLD, Fault.DOUBLE, Fault.KILL_AFTER):
            forward(request)
        if fault in (Fault.KILL_BEFORE, Fault.KILL_AFTER):
            self.kill()
        match fault:
            case Fault.REFUSE | Fault.DROP | Fault.IGNORE | Fault.WITHHOLD | Fault.KILL_BEFORE | Fault.KILL_AFTER:
                return None
            case Fault.ERROR:
                return error_answer(request)
            case Fault.THROTTLE:
                return throttled_answer(request)
            case Fault.PARTIAL:
                return send_partly(request, dice, forward)
            case Fault.REPEAT:
                return repeated(forward(request), dice)
        return forward(request)

    def _decide(self, operation: str) -> tuple[int, Fault | None]:
        with self._lock:
            number = self.requests[operation]
            self.requests[operation] += 1
            fault = self.plan(operation, number)
            if fault is not None:
                self.faults[operation, fault] += 1
        return number, fault

    def _forward(self, request: Request, upstream: http.client.HTTPConnection) -> Answer:
        if request.operation not in WRITES or not self.keeps_journal:
            return request.send(upstream)
        with self._writing:
            answer = request.send(upstream)
            for table, task_id in written_ids(request):
                self._write_down(table, task_id)
        return answer

    def _write_down(self, table: str, task_id: str) -> None:
        answer = self._dynamodb.get_item(TableName=table, Key={"task_id": {"S": task_id}}, ConsistentRead=True)
        if "Item" in answer:
            task, states = from_item(answer["Item"]), self._journal[table].setdefault(task_id, [])
            if not states or states[-1] != task:
                states.append(task)


def _nobody() -> None:
    raise AssertionError("the plan kills, and nobody said whom")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128
    proxy: FaultProxy

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self._open.discard(request)

    def hang_up(self) -> None:
        """End the connections that clients have kept; their threads end with them."""
        for connection in tuple(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        wait_for(lambda: not self._open)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed, or did not wait: that is what these tests are about."""


class _Connection(BaseHTTPRequestHandler):
    """One client connection, with a connection to the engine of its own."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self._proxy = cast("_Server", self.server).proxy
        self._upstream = self._proxy.connect()

    def finish(self) -> None:
        self._upstream.close()
        super().finish()

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(method=self.command, path=self.path, headers=dict(self.headers.items()), body=body)
        answer = self._proxy.pass_on(request, self._upstream, self._hangs_up)
        if answer is None:
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def _hangs_up(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], WITHHELD_SECONDS)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _pass  # noqa: N815 - the names http.server looks for

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's own name
        """Say nothing."""
