"""Names made addresses in a given time: ``getaddrinfo`` has no time limit of its own, and nobody can stop it."""

import socket
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, Final, TypeAlias

MAX_LOOKUPS: Final = 32
"""So many names are looked up at once; more than a client connects to at once, those that it gave up on included."""

Resolve: TypeAlias = Callable[..., Iterable[Any]]
"""``socket.getaddrinfo``, or what answers like it."""


class Lookups:
    """Looks names up, each in a thread of its own that may be left behind.

    Who asks for a name that is being looked up waits for the same answer: a name server that is silent holds one thread
    for each of its names, however many requests there are for them. Daemon threads, so that no process waits for one to
    end.
    """

    def __init__(self, resolve: Resolve = socket.getaddrinfo) -> None:
        self._resolve = resolve
        self._under_way: dict[tuple[str, int], Future[list[Any]]] = {}
        self._lock = threading.Lock()

    def __call__(self, host: str, port: int, seconds: float | None) -> list[Any]:
        """What the resolver says of ``host``, within ``seconds`` (None: whenever it does).

        Raises TimeoutError (an OSError) if it has not answered by then, OSError if too many names are waited for, and
        what the resolver raises.
        """
        future = self._begun(host, port)
        try:
            return future.result(timeout=seconds)
        except TimeoutError as exc:
            raise TimeoutError("the name server took too long") from exc

    def _begun(self, host: str, port: int) -> "Future[list[Any]]":
        with self._lock:
            if (future := self._under_way.get((host, port))) is not None:
                return future
            if len(self._under_way) >= MAX_LOOKUPS:
                raise OSError(f"{MAX_LOOKUPS} other names are being looked up")
            future = Future()
            thread = threading.Thread(target=self._look_up, args=(host, port, future), name="lookup", daemon=True)
            try:
                thread.start()
            except RuntimeError as exc:  # no thread can be started any more
                raise OSError(str(exc)) from exc
            self._under_way[host, port] = future
            return future

    def _look_up(self, host: str, port: int, future: "Future[list[Any]]") -> None:
        try:
            found = list(self._resolve(host, port, type=socket.SOCK_STREAM))
        except Exception as exc:  # noqa: BLE001 - whoever waits raises it
            self._end(host, port)
            future.set_exception(exc)
        else:
            self._end(host, port)
            future.set_result(found)

    def _end(self, host: str, port: int) -> None:
        # Before the answer is given: who asks again then is told of what is so by now.
        with self._lock:
            del self._under_way[host, port]
