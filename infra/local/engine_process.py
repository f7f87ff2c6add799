"""The engine's own process: `python -m infra.local.engine_process LIFELINE SCRATCH` runs ministack until the run ends.

It runs under the interpreter of the environment, because the engine's Lambda workers use that interpreter and its
packages.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from infra.local.lifeline import Parent

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_INVOCATION = 900.0
# Lambda workers outlive the engine by a moment, in which they still write: a folder is only removed for good when they
# are gone. What is killed may be in the middle of a last write, so once more.
END_ALL = 'kill -s KILL -- "-$1"; for _ in 1 2 3 4 5; do rm -rf "$2" && exit; sleep 1; done'


def main() -> None:
    """Run the engine; if the run was killed, end its Lambda workers and remove the scratch folder in its place."""
    parent, scratch = os.getppid(), sys.argv[2]
    Parent(int(sys.argv[1])).end_with_it(lambda: end_all(scratch))
    sys.argv = ["ministack"]
    from ministack.app import main as run_engine  # noqa: PLC0415 - half a second; the lifeline comes first

    let_invocations_end()
    try:
        run_engine()
    finally:
        if os.getppid() != parent:
            end_all(scratch)


def end_all(scratch: str) -> None:
    """Let a process of another group end this one with all that it has started, and remove their folder."""
    subprocess.Popen(["/bin/sh", "-c", END_ALL, "sh", str(os.getpgrp()), scratch], start_new_session=True)


def let_invocations_end() -> None:
    """Let invocations under way end when a function gets new code, as AWS does.

    The engine kills them: after each edit the tasks that run would wait for their leases to run out.
    """
    from ministack.core import lambda_runtime  # noqa: PLC0415 - loaded by the engine anyway

    kill = lambda_runtime.kill_workers

    def kill_when_done(worker: Any) -> None:
        deadline = time.monotonic() + LONGEST_INVOCATION
        while worker.in_use and worker._proc is not None and time.monotonic() < deadline:  # noqa: SLF001 - no other way
            time.sleep(0.1)
        kill([worker])

    def kill_idle(workers: Iterable[Any]) -> None:
        found = [worker for worker in workers if worker is not None]
        for worker in found:
            if worker.in_use:
                threading.Thread(target=kill_when_done, args=[worker], daemon=True).start()
        kill([worker for worker in found if not worker.in_use])

    lambda_runtime.kill_workers = kill_idle


if __name__ == "__main__":
    main()
