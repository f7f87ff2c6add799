"""The picture of the layers shows what is there, in the order that the import rules hold it to."""

import re
import tomllib

from tests.docs.conftest import ROOT


def layers() -> list[set[str]]:
    """The modules of each layer, the highest first."""
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (inside,) = (rule for rule in rules if rule.get("containers") == ["tasklane"])
    return [set(re.findall(r"\w+", layer)) for layer in inside["layers"]]


def picture() -> str:
    page = (ROOT / "docs" / "architecture.md").read_text()
    return page[page.index("flowchart TD") :].partition("```")[0]


def test_every_module_is_in_the_picture_of_the_layers() -> None:
    shown = set(re.findall(r"\w+", picture()))

    assert set[str]().union(*layers()) <= shown


def test_the_picture_has_the_layers_in_their_order() -> None:
    places = [min(re.search(rf"\b{name}\b", picture()).start() for name in layer) for layer in layers()]  # type: ignore[union-attr]

    assert places == sorted(places)
