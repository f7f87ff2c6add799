"""The built package, and a deployed stack for its functions to work on."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from infra import build, template
from infra.local import clients, options, package, provision
from tests.packaging import lambda_runtime
from tests.packaging.deployed import Deployed
from tests.support.engine import Aws, running_engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/packaging/" in item.nodeid:
            item.add_marker(pytest.mark.packaging)


@pytest.fixture(scope="session")
def python() -> Path:
    """The interpreter of the functions' runtime."""
    if not build.SAM.exists():
        pytest.skip("no AWS SAM command line here: make check installs it into .venv-sam")
    try:
        return build.runtime_python()
    except build.BuildError as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope="session")
def shipped(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make build` makes: a folder with a folder per function, for the template's own architecture."""
    destination = tmp_path_factory.mktemp("shipped")
    build.build(destination=destination, cached=False)
    return destination


@pytest.fixture(scope="session")
def runnable(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for this machine's architecture, so that it can run here."""
    folder = tmp_path_factory.mktemp("runnable")
    changed = template.load()
    changed["Globals"]["Function"]["Architectures"] = [lambda_runtime.ARCHITECTURE]
    source = folder / "template.json"
    source.write_text(json.dumps(changed))
    build.build(source, folder / "build", cached=False)
    return folder / "build"


@pytest.fixture(scope="session")
def runtime_client(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Lambda itself adds to the package: its runtime client."""
    folder = tmp_path_factory.mktemp("runtime")
    lambda_runtime.install_runtime_client(python, folder)
    return folder


@pytest.fixture(scope="session")
def deployed(
    python: Path, runnable: Path, runtime_client: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    """template.yaml on an engine whose own functions get no events, so that the package's get them all."""
    scratch = tmp_path_factory.mktemp("engine")
    with running_engine(scratch) as target, closing(Aws(endpoint=target.endpoint)) as aws:
        deployment = provision.deploy(
            clients.connect(target), package.build(template.ROOT / "functions"), webhook_secret=options.LOCAL_SECRET
        )
        functions = aws.client("lambda")
        for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        yield Deployed(
            target=target,
            deployment=deployment,
            aws=aws,
            packages=runnable,
            python=python,
            runtime_client=runtime_client,
            logs=scratch,
        )
