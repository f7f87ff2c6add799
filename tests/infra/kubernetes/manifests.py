"""The manifests as they stand, and as `kubectl kustomize` renders them where there is a kubectl."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import yaml

from infra import template

if TYPE_CHECKING:
    from pathlib import Path

FOLDER: Final = template.ROOT / "infra" / "kubernetes"
BASE: Final = FOLDER / "base"
OVERLAYS: Final = tuple(sorted(path.name for path in (FOLDER / "overlays").iterdir()))
KUBECTL: Final = shutil.which("kubectl")
NOT_OF_KUBERNETES: Final = "keda.sh/"

Manifest = dict[str, Any]


def read(path: Path) -> list[Manifest]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


@cache
def base() -> tuple[Manifest, ...]:
    """The resources of the base, as they stand."""
    (kustomization,) = read(BASE / "kustomization.yaml")
    return tuple(document for name in kustomization["resources"] for document in read(BASE / name))


@cache
def rendered(folder: Path) -> tuple[Manifest, ...]:
    """What would be applied."""
    assert KUBECTL
    done = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(document for document in yaml.safe_load_all(done.stdout) if document)


def of_kind(manifests: tuple[Manifest, ...], kind: str) -> dict[str, Manifest]:
    return {one["metadata"]["name"]: one for one in manifests if one["kind"] == kind}


def settings(path: Path) -> dict[str, str]:
    """The variables of an env file."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)
