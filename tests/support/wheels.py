"""The wheels of a lock, fetched by this machine's own pip and offered on 127.0.0.1: a build needs no other address."""

from __future__ import annotations

import subprocess
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        pass


def download(python: Path, lock: Path, destination: Path) -> None:
    """Fetch the wheels for this interpreter."""
    how = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--only-binary=:all:"]
    which = ["--require-hashes", f"--requirement={lock}", f"--dest={destination}"]
    command: list[str | Path] = [python, "-m", "pip", "download", *how, *which]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@contextmanager
def offered(folder: Path) -> Iterator[str]:
    """Serve the folder as `pip --find-links` reads it, while the context lasts."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()
