"""Code that cannot be imported is explained in as few words as its author needs."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

from infra.local.wrong_code import explain

if TYPE_CHECKING:
    from pathlib import Path

TASK = "from tasklane.registry import Registry\n\ntask = Registry().task\n\n\n"


@pytest.fixture
def functions(tmp_path: Path) -> Path:
    folder = tmp_path / "functions"
    (folder / "handlers").mkdir(parents=True)
    return folder


def explained(functions: Path, code: str, file: str = "handlers/mine.py") -> str:
    path = functions / file
    path.write_text(code)
    spec = importlib.util.spec_from_file_location("mine", path)
    assert spec
    assert spec.loader
    with pytest.raises(Exception) as found:  # noqa: PT011 - any: that is what it is about
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    return explain(found.value, functions)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ('@task("mine")\ndef mine(n): ...\n', "the handler of 'mine' must take an annotated payload"),
        ('@task("mine")\ndef mine(n: int): ...\n', "the payload of 'mine' must be a pydantic model"),
        ("@task\ndef mine(n): ...\n", '@task wants the name of the task type: @task("name")'),
        ('@task("mine", retry="maybe")\ndef mine(n): ...\n', "there is no retry policy 'maybe'"),
    ],
)
def test_a_wrong_use_of_task_is_one_sentence_that_says_where(functions: Path, code: str, says: str) -> None:
    said = explained(functions, TASK + code)

    assert said.startswith(f"functions/handlers/mine.py:6: {says}")
    assert "\n" not in said


def test_what_does_not_compile_is_one_line(functions: Path) -> None:
    assert explained(functions, "x = 1\ndef f(:\n") == "functions/handlers/mine.py:2: invalid syntax"


def test_other_errors_come_with_the_frames_of_the_authors_code(functions: Path) -> None:
    said = explained(functions, "def load():\n    import nowhere_to_be_found\n\n\nload()\n").splitlines()

    assert said[0] == "functions/handlers/mine.py:2: ModuleNotFoundError: No module named 'nowhere_to_be_found'"
    assert [line.strip() for line in said[2::2]] == ["load()", "import nowhere_to_be_found"]
    assert "importlib" not in "".join(said)


def test_code_that_is_no_handler_is_explained_too(functions: Path) -> None:
    said = explained(functions, "1 / 0\n", "tool.py")

    assert said.splitlines()[0] == "functions/tool.py:1: ZeroDivisionError: division by zero"
