"""`python -m infra.build`: builds the Lambda package with `sam build`, and compiles it.

A Lambda's code folder is read-only: what is not compiled in the package is compiled again in every cold start, which
about doubles it. `sam build` drops bytecode, and `sam deploy` dates every file of its zip 1980-01-01, so that bytecode
which is checked against its source's date would be ignored; hence unchecked hashes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from infra import template

if TYPE_CHECKING:
    from collections.abc import Sequence

SAM = template.ROOT / ".venv-sam" / "bin" / "sam"
DESTINATION = template.ROOT / ".aws-sam" / "build"
# sam is to report nothing, and to keep its own notes here, not in the home directory (the Makefile says the same).
DISCRETION = {"SAM_CLI_TELEMETRY": "0", "__SAM_CLI_APP_DIR": str(template.ROOT / ".aws-sam" / "cli")}


class BuildError(Exception):
    """The package cannot be built; its message says what to do."""


def runtime_python() -> Path:
    """Find the interpreter of the template's runtime (python3.13), which `sam build` insists on.

    Looks on the PATH, then among pyenv's versions: pyenv's own shim answers only for the version that is switched on.
    Raises BuildError if there is none.
    """
    name: str = template.load()["Globals"]["Function"]["Runtime"]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = [
        *map(Path, os.get_exec_path()),
        *sorted(pyenv.glob(f"versions/{name.removeprefix('python')}.*/bin"), reverse=True),
    ]
    for folder in folders:
        if _runs(folder / name):
            return folder / name
    raise BuildError(f"sam build needs {name}, the runtime of the functions: install it, or put it on the PATH.")


def build(source: Path = template.TEMPLATE, destination: Path = DESTINATION, *, cached: bool = True) -> None:
    """Build every function of the template ``source`` into a folder of its own under ``destination``.

    cached: reuse the last build of the same code. Raises BuildError with what `sam` said.
    """
    python = runtime_python()
    folders: list[str | Path] = ["--template", source, "--base-dir", template.ROOT, "--build-dir", destination]
    _run([SAM, "build", *folders, "--cached" if cached else "--no-cached"], python)
    for package in sorted(folder for folder in destination.iterdir() if folder.is_dir()):
        _compile(package, python)


def _compile(package: Path, python: Path) -> None:
    how = ["-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    where: list[str | Path] = ["-s", package, "-p", "/var/task"]  # tracebacks name the files as Lambda has them
    _run([python, "-m", "compileall", *how, *where, package], python)


def _run(command: Sequence[str | Path], python: Path) -> None:
    path = os.pathsep.join([str(python.parent), *os.get_exec_path()])
    environment = os.environ | DISCRETION | {"PATH": path}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BuildError(f"This failed: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


def _runs(python: Path) -> bool:
    try:
        return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def main() -> int:
    """Build; 1, and the reason, if that does not work."""
    argparse.ArgumentParser(prog="python -m infra.build", description=__doc__).parse_args()
    try:
        build()
    except BuildError as exc:
        print(exc, file=sys.stderr)
        return 1
    print(f"Built into {DESTINATION.relative_to(template.ROOT)}; deploy with: sam deploy --config-env dev")
    return 0


if __name__ == "__main__":
    sys.exit(main())
