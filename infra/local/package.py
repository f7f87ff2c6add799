"""Zips functions/ for the engine: our code only, because its Lambda workers have the environment's packages."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

EPOCH = (1980, 1, 1, 0, 0, 0)  # the same code is the same zip


@dataclass(frozen=True, kw_only=True)
class Package:
    """A zip of the functions."""

    content: bytes

    @property
    def key(self) -> str:
        """Key of the zip in the code bucket; another one if and only if the code changed."""
        return f"{hashlib.sha256(self.content).hexdigest()[:32]}.zip"


def check(edited: Iterable[Path]) -> None:
    """Raise SyntaxError for a file that does not compile: a half-written handler must not replace one that works."""
    for path in edited:
        if path.suffix == ".py" and path.is_file():
            compile(path.read_bytes(), str(path), "exec")


def build(functions: Path) -> Package:
    """Zip the folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in _files(functions):
            archive.writestr(zipfile.ZipInfo(str(path.relative_to(functions)), EPOCH), path.read_bytes())
    return Package(content=buffer.getvalue())


def _files(functions: Path) -> Iterator[Path]:
    for path in sorted(functions.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith("."):
            yield path
