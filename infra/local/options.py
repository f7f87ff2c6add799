"""What the developer asked for: the variables of `make run` and one argument."""

from __future__ import annotations

import argparse
import base64
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infra.local.errors import LocalRunError
from tasklane.errors import ConfigurationError
from tasklane.signature import parse_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent.parent
LOCAL_SECRET = "whsec_" + base64.b64encode(b"tasklane-local-run-signing-key!!").decode()


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to run."""

    port: int
    """Port of the API."""
    engine_port: int
    """Port of the embedded engine."""
    debug: bool
    """The worker runs in the API's process, so that breakpoint() works."""
    state: Path | None
    """Folder that keeps the engine's state from run to run; None forgets it."""
    webhook_secret: str
    """Signs the callbacks (whsec_ and base64)."""
    functions: Path
    """The folder that ships: deployed, watched, served."""


def read(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> Options:
    """Read the options; raises LocalRunError for one that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m infra.local", description=__doc__)
    parser.add_argument("--functions", type=Path, default=ROOT / "functions", help="the folder that ships")
    parser.add_argument("--state", type=Path, default=ROOT / ".tasklane", help="what PERSIST=1 keeps")
    given = parser.parse_args(arguments)
    port, engine_port = _port(environment, "PORT", 8000), _port(environment, "ENGINE_PORT", 4566)
    if port == engine_port:
        raise LocalRunError("PORT and ENGINE_PORT are the same: choose another one.")
    return Options(
        port=port,
        engine_port=engine_port,
        debug=_flag(environment, "DEBUG"),
        state=given.state.resolve() if _flag(environment, "PERSIST") else None,
        webhook_secret=_secret(environment.get("WEBHOOK_SECRET") or LOCAL_SECRET),
        functions=given.functions.resolve(),
    )


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    given = environment.get(name) or str(default)
    if not given.isdecimal() or not 0 < int(given) < 65536:
        raise LocalRunError(f"{name}={given} is no port: give a number from 1 to 65535.")
    return int(given)


def _flag(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "").lower() not in ("", "0", "false", "no", "off")


def _secret(given: str) -> str:
    try:
        parse_secrets(given)
    except ConfigurationError as exc:
        raise LocalRunError(
            f"WEBHOOK_SECRET cannot sign: {exc}. Leave it out, or make one: "
            """python3 -c "import base64, os; print('whsec_' + base64.b64encode(os.urandom(32)).decode())"."""
        ) from exc
    return given
