"""`python -m infra.container.probe`: asks the role in this container how it is; for HEALTHCHECK.

Exits with 1, and what the role said, unless that was 200. Kubernetes asks over HTTP by itself.
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request

SECONDS = 4.0


def main() -> int:
    """Ask; 0 if all is well."""
    host = os.environ.get("HOST") or "0.0.0.0"  # noqa: S104 - what the role listens on, not what is asked
    url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{os.environ.get('PORT') or 8000}/health"  # noqa: S104
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=SECONDS):
            return 0
    except urllib.error.HTTPError as exc:
        with exc:
            print(exc.read().decode(errors="replace"), file=sys.stderr)
    except OSError as exc:
        print(f"{url} does not answer: {exc}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
