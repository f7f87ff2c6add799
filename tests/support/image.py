"""The image, built as docs/containers.md shows it, on a base that is made of this machine's Python."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

import pytest

from infra import build, template
from tests.docs.snippets import snippets
from tests.support import base_image, wheels

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.docker import Docker

IMAGE: Final = "tasklane"
BASE: Final = "base"
LOOK_AROUND: Final = """
import json, os
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
def writes(path):
    try:
        open(path, "w").close()
    except OSError as exc:
        return exc.strerror
print(json.dumps({
    "uid": os.getuid(),
    "capabilities": int(status["CapEff"], 16),
    "no_new_privileges": int(status["NoNewPrivs"]),
    "system_calls_filtered": int(status["Seccomp"]) == 2,
    "written": [path for path in ("/app/x", "/tmp/x", "/x") if not writes(path)],
}))
"""
"""What a container's Python says about what it may do."""
ALLOWED_NOTHING: Final = {
    "uid": 10001,
    "capabilities": 0,
    "no_new_privileges": 1,
    "system_calls_filtered": True,
    "written": [],
}
FOLDER: Final = template.ROOT / "infra" / "container"


def make(docker: Docker, scratch: Path) -> str:
    """Build it; its name. The base stays in the engine, too. Skips, saying why, where there is no Python for it."""
    try:
        python = build.runtime_python()
    except build.BuildError as exc:
        pytest.skip(str(exc))
    base_image.write(python, scratch / "base.tar")
    docker("import", "--change", base_image.SETTINGS, scratch / "base.tar", BASE)
    wheels.download(python, FOLDER / "requirements.txt", scratch / "wheels")
    with wheels.offered(scratch / "wheels") as url:
        arguments = {"BASE": BASE, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": url, "REVISION": "abc"}
        given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        docker("build", "--network=host", *given, *shown("build"), seconds=600)
    return IMAGE


def shown(command: str, role: str | None = None) -> list[str]:
    """What docs/containers.md shows behind `docker build`, or behind `docker run` for a role."""
    blocks = [one for one in snippets(template.ROOT / "docs" / "containers.md") if one.info == "console docker"]
    commands = [shlex.split(text) for one in blocks for text, _ in one.commands()]
    (found,) = (words for words in commands if words[1] == command and role in (None, words[-1]))
    return found[2:]
