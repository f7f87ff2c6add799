"""`python -m infra.container ROLE`: one role of an installation, until SIGTERM. The image's entry point.

Exit codes: 0 after SIGTERM, 1 where the process should be started anew (a worn out worker; a port that is taken), 2
where that would not help before somebody has changed something (an unknown role, missing or wrong settings).
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Final

from infra.container.settings import complete, read_process_settings
from infra.proxies import spare_loopback
from tasklane.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

ROLES: Final = {
    "api": ("serving", "serve"),
    "worker": ("polling", "work"),
    "callbacks": ("polling", "deliver"),
    "sweeper": ("sweeping", "keep_sweeping"),
}
"""The module and function of each; imported when it is known which one is wanted."""
WRONG: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the role until told to stop; the exit code."""
    stop = threading.Event()
    # At once: to process 1 of a container a signal without a handler is nothing.
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    parser = argparse.ArgumentParser(prog="tasklane container", description="Plays one role of an installation.")
    parser.add_argument("role", choices=ROLES)
    role = parser.parse_args(arguments).role
    try:
        return _play(role, stop)
    except ConfigurationError as exc:
        print(f"{role}: {exc}", file=sys.stderr)
        return WRONG
    except OSError as exc:
        print(f"{role}: {exc}", file=sys.stderr)
        return 1


def _play(role: str, stop: threading.Event) -> int:
    spare_loopback(os.environ)  # the endpoint may be an engine on this machine
    settings = read_process_settings()
    complete(role)
    from tasklane.bootstrap import function_services  # noqa: PLC0415 - takes a while, like the next
    from tasklane.observability import get_logger  # noqa: PLC0415 - reads what complete() has set

    get_logger()  # from here on the core's lines come out as JSON
    services = function_services()
    _ = services.settings  # read now, so that a mistake shows at once
    _require_region()
    module, function = ROLES[role]
    return getattr(importlib.import_module(f"infra.container.{module}"), function)(settings, services, stop)  # type: ignore[no-any-return]


def _require_region() -> None:
    import boto3  # noqa: PLC0415 - a tenth of a second, which a mistake in the settings need not wait for

    if boto3.Session().region_name is None:
        raise ConfigurationError("Settings are missing: AWS_REGION")


if __name__ == "__main__":
    sys.exit(main())
