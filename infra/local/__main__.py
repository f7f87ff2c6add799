"""`python -m infra.local`: what `make run` starts."""

from __future__ import annotations

import os
import sys

from infra.local.errors import LocalRunError
from infra.proxies import spare_loopback


def main() -> int:
    """Run until Ctrl-C (0); 1 and one sentence that says what to do if that is not possible."""
    spare_loopback(os.environ)
    try:
        from infra.local import options, terminal  # noqa: PLC0415 - an import that fails is an answer too
        from infra.local.run import run  # noqa: PLC0415
    except ImportError as exc:
        print(f"{exc}: start it with `make run`, which installs what it needs.", file=sys.stderr)
        return 1
    try:
        run(options.read(), terminal.Terminal())
    except LocalRunError as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
