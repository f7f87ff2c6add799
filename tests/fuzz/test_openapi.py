"""What /openapi.json says of this API holds for whatever is sent: schemathesis tries it on a running installation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.local_run import ROOT, LocalRun, local_run
from tests.support.receiver import Receiver, a_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
MOST_SECONDS = 900
"""Many times what it takes; one that hangs ends then, and does not hold up what comes after it."""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[LocalRun]:
    with local_run(tmp_path) as run:
        yield run


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """It wants no callbacks (any more): they are undelivered at once."""
    with a_receiver() as receiver:
        receiver.always(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")
        yield receiver


@pytest.mark.fuzz
@pytest.mark.slow
@pytest.mark.engine
def test_the_api_is_what_its_openapi_document_says(run: LocalRun, receiver: Receiver, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml")]

    found = subprocess.run(
        [*command, "run", f"{run.url}/openapi.json", "--no-color"],
        cwd=tmp_path,  # it leaves a folder where it runs
        env=os.environ
        | {
            "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks",
            "PYTHONPATH": f"{ROOT / 'functions'}:{ROOT}",
            "PYTHONUTF8": "1",
            "FUZZ_API": run.url,
            "FUZZ_RECEIVER": f"{receiver.url}/hook",
            "FUZZ_REPORT": str(report),
        },
        capture_output=True,
        text=True,
        timeout=MOST_SECONDS,
        check=False,
    )

    assert found.returncode == 0, found.stdout[-30_000:] + found.stderr[-2_000:]
    unforeseen = [line for line in run.output.splitlines() if " ERROR " in line and "callback_undelivered" not in line]
    assert not unforeseen, "what was accepted was too much for a function"
    answers = json.loads(report.read_text(encoding="utf-8"))
    print(f"\n{sum(count for *_, count in answers)} requests")
    for operation, answer, count in answers:
        print(f"{count:6} {operation:50} {answer}")
