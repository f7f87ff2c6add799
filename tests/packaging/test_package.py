"""What `sam build` packs: the right wheels, compiled, and no more than ships."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Final

import pytest

from infra import template

AARCH64: Final = 183
"""ELF's number of the architecture (e_machine)."""
UNCHECKED_HASH: Final = 0b01
"""The flags of bytecode that is used whatever the date of its source (PEP 552)."""
FUNCTIONS: Final = ("ApiFunction", "WorkerFunction", "CallbackFunction", "SweeperFunction")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_native_library_is_for_the_template_s_architecture(shipped: Path, function: str) -> None:
    libraries = list((shipped / function).rglob("*.so"))
    assert libraries
    for library in libraries:
        (machine,) = struct.unpack_from("<H", library.read_bytes(), 18)
        assert machine == AARCH64, library


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_source_is_compiled_in_a_way_that_survives_the_zip(shipped: Path, function: str) -> None:
    package = shipped / function
    for source in package.rglob("*.py"):
        (compiled,) = source.parent.glob(f"__pycache__/{source.stem}.*.pyc")
        (flags,) = struct.unpack_from("<I", compiled.read_bytes(), 4)
        assert flags == UNCHECKED_HASH, compiled


def test_functions_are_one_upload(shipped: Path) -> None:
    def content(function: str) -> dict[str, bytes]:
        folder = shipped / function
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    first, *rest = FUNCTIONS
    assert all(content(function) == content(first) for function in rest)


def test_the_files_of_the_dashboard_are_packed(shipped: Path) -> None:
    place = Path("api/dashboard/static")

    def content(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (folder / place).iterdir()}

    assert content(shipped / "ApiFunction") == content(template.ROOT / "functions") != {}


def test_the_package_is_small_enough_to_start_fast(shipped: Path) -> None:
    size = sum(path.stat().st_size for path in (shipped / "ApiFunction").rglob("*") if path.is_file())
    assert size < 80 * 1024 * 1024, "Lambda takes 250 MiB, but every MiB is loaded in a cold start."


@pytest.mark.parametrize("name", ["ministack", "moto", "pytest", "uvicorn", "infra", "tests"])
def test_nothing_of_development_is_packed(shipped: Path, name: str) -> None:
    assert not (shipped / "ApiFunction" / name).exists()


def test_what_ships_is_pinned_as_in_development() -> None:
    def pins(lock: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9.-]+==[^ ;]+", (template.ROOT / lock).read_text(), re.MULTILINE))

    shipped = pins("functions/requirements.txt")
    assert "boto3" in {pin.split("==")[0] for pin in shipped}
    assert shipped <= pins("requirements-dev.lock")
