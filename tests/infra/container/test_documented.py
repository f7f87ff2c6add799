"""What stands outside of the code agrees with it: the page for operators, the lock, and what the image is given."""

import ast
import re
from pathlib import Path

from infra import template
from infra.container.settings import VARIABLES
from tasklane.settings import PREFIX, Settings


def documented() -> set[str]:
    page = (template.ROOT / "docs" / "containers.md").read_text()
    section = page.split("\n## Configuration\n")[1].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_every_variable_is_explained() -> None:
    ours = {name for name in documented() if not name.startswith(("AWS_", "POWERTOOLS_"))}

    assert ours == {PREFIX + name.upper() for name in Settings.model_fields} | set(VARIABLES)


def test_every_variable_that_the_functions_are_given_is_explained() -> None:
    resources = template.load()["Resources"].values()
    functions = [one["Properties"] for one in resources if one["Type"] == "AWS::Serverless::Function"]
    given = [template.load()["Globals"]["Function"], *functions]

    assert {name for one in given for name in one["Environment"]["Variables"]} <= documented()


def test_the_lock_is_the_functions_own_and_the_server() -> None:
    def pins(lock: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9.-]+==[^ ;]+", (template.ROOT / lock).read_text(), re.MULTILINE))

    functions, container = pins("functions/requirements.txt"), pins("infra/container/requirements.txt")

    assert functions < container < pins("requirements-dev.lock")
    assert {pin.partition("==")[0] for pin in container - functions} == {"uvicorn", "click"}


def test_the_image_has_the_functions_runtime() -> None:
    dockerfile = (template.ROOT / "infra" / "container" / "Dockerfile").read_text()
    runtime = template.load()["Globals"]["Function"]["Runtime"]

    assert f"\nARG BASE={runtime.replace('python', 'python:')}-slim" in dockerfile


def test_the_image_is_given_every_module_that_it_imports() -> None:
    given = {line[1:] for line in (template.ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    files = [path for name in given for path in [template.ROOT / name, *(template.ROOT / name).rglob("*.py")]]
    wanted = {name for path in files if path.suffix == ".py" for name in imported(path)}

    missing = {name for name in wanted if not any(is_given(name, one) for one in given)}

    assert "infra.http_server" in wanted
    assert not missing, "docker build does not see them: name them in .dockerignore"


def imported(path: Path) -> set[str]:
    """The modules of infra that a file imports."""
    nodes = [*ast.walk(ast.parse(path.read_text()))]
    found = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            children = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= children if node.module == "infra" else {node.module}
    return {name for name in found if name.startswith("infra.")}


def is_given(module: str, path: str) -> bool:
    place = module.replace(".", "/")
    return path in (f"{place}.py", place) or place.startswith(f"{path}/")
