"""Zips functions/ for the engine: our code only, because its Lambda workers have the environment's packages."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
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


def build(functions: Path) -> Package:
    """Zip the folder.

    A file that does not compile raises SyntaxError, so that a half-written handler never replaces one that works.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in _files(functions):
            content = path.read_bytes()
            if path.suffix == ".py":
                compile(content, str(path), "exec")
            archive.writestr(zipfile.ZipInfo(str(path.relative_to(functions)), EPOCH), content)
    return Package(content=buffer.getvalue())


def _files(functions: Path) -> Iterator[Path]:
    for path in sorted(functions.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith("."):
            yield path
