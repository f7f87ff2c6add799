"""A stand-in for python:3.13-slim, made of this machine's Python, because tests pull nothing.

It has what the Dockerfile asks of its base and no more: the interpreter with its standard library and pip, a shell with
`rm`, and the libraries of C that wheels for Linux expect.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SETTINGS: Final = "ENV PATH=/usr/local/bin:/usr/bin:/bin LD_LIBRARY_PATH=/usr/local/lib"
PROGRAMS: Final = (Path("/bin/sh"), Path("/bin/rm"))
EXPECTED: Final = ("libgcc_s.so.1", "libstdc++.so.6", "librt.so.1", "libpthread.so.0", "libdl.so.2")
"""What wheels load and nothing that is copied names."""
LEFT_OUT: Final = {"test", "idlelib", "tkinter", "turtledemo", "site-packages", "dist-packages", "__pycache__"}
ASK: Final = """
import ensurepip, json, os, sys, sysconfig
print(json.dumps([os.path.realpath(sys.executable), sysconfig.get_path("stdlib"), os.path.dirname(ensurepip.__file__)]))
"""


def write(python: Path, destination: Path) -> None:
    """Write it as a tar file, as `docker import` takes it."""
    asked = subprocess.run([python, "-c", ASK], capture_output=True, text=True, check=True).stdout
    executable, library, ensurepip = map(Path, json.loads(asked))
    home = Path("usr/local/lib") / library.name
    files = {home / path.relative_to(library): path for path in _standard_library(library)}
    files[Path("usr/local/bin") / executable.name] = executable
    files |= {Path("bin") / program.name: program.resolve() for program in PROGRAMS}
    native = [path for path in files.values() if path.suffix == ".so" or path.parent.name == "bin"]
    files |= {_place(path): path for path in _libraries(native)}
    with tarfile.open(destination, "w") as archive:
        for inside, path in sorted(files.items()):
            archive.add(path.resolve(), str(inside), recursive=False)
        for name, content in _pip(ensurepip):
            entry = tarfile.TarInfo(str(home / "site-packages" / name))
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        link, scratch = tarfile.TarInfo("usr/local/bin/python"), tarfile.TarInfo("tmp")
        link.type, link.linkname = tarfile.SYMTYPE, executable.name
        scratch.type, scratch.mode = tarfile.DIRTYPE, 0o1777
        archive.addfile(link)
        archive.addfile(scratch)


def _standard_library(library: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(library):
        folders[:] = [one for one in folders if one not in LEFT_OUT and not one.startswith("config-")]
        yield from (Path(folder, name) for name in names if "tkinter" not in name)


def _libraries(native: Iterable[Path]) -> set[Path]:
    found = set[Path]()
    for path in native:
        listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout.splitlines()
        words = [line.split() for line in listed]
        found |= {Path(one[2] if "=>" in one else one[0]) for one in words if any(word[0] == "/" for word in one)}
    (libc,) = (path for path in found if path.name == "libc.so.6")
    return found | {libc.with_name(name) for name in EXPECTED}


def _place(library: Path) -> Path:
    """Where the loader looks for it, whose own place is compiled into programs."""
    if library.name.startswith("ld-"):
        return Path(*library.parts[1:])
    system = library.parts[1] in ("lib", "lib64") or library.parts[1:3] == ("usr", "lib")
    return Path(*library.parts[1:]) if system else Path("usr/local/lib") / library.name


def _pip(ensurepip: Path) -> Iterator[tuple[str, bytes]]:
    (wheel,) = (ensurepip / "_bundled").glob("pip-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            yield name, archive.read(name)
