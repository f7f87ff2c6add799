"""The engine's own process: `python -m infra.local.engine_process LIFELINE` runs ministack until the run ends.

It runs under the interpreter of the environment, because the engine's Lambda workers use that interpreter and its
packages.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile

from infra.local import lifeline


def main() -> None:
    """Run the engine; if the run was killed, remove the folder that it would have removed."""
    parent = os.getppid()
    lifeline.end_with_parent(int(sys.argv[1]))
    sys.argv = ["ministack"]
    from ministack.app import main as run_engine  # noqa: PLC0415 - half a second; the lifeline comes first

    try:
        run_engine()
    finally:
        if os.getppid() != parent:
            shutil.rmtree(tempfile.gettempdir(), ignore_errors=True)


if __name__ == "__main__":
    main()
