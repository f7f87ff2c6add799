"""What the tests share: an engine, a proxy before it, installations, and the page of what was found."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from infra.local.target import Target
from tests.faults import engine_process
from tests.faults.clock import VARIABLE, SharedClock, new_clock
from tests.faults.crash_page import crash_points
from tests.faults.crash_scenarios import Recovers, tried
from tests.faults.figures import Figures
from tests.faults.history import added
from tests.faults.installation import Installation, installed
from tests.faults.page import PAGE, page
from tests.faults.proxy import FaultProxy
from tests.support.engine import Aws, running_engine

SEED = 20261122
FOUND = pytest.StashKey[dict[str, Figures]]()
PARTIAL = pytest.StashKey[set[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "row(name): its figures are a row of docs/reliability.md (tests/faults/rows.py)")
    config.stash.setdefault(FOUND, {})
    config.stash.setdefault(PARTIAL, set())


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """A row is not written from a part of its tests."""
    for item in items:
        if marker := item.get_closest_marker("row"):
            item.config.stash[PARTIAL].add(marker.args[0])


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With RELIABILITY=write, write the page."""
    partial = session.config.stash[PARTIAL]
    found = {name: row for name, row in session.config.stash[FOUND].items() if name not in partial}
    if os.environ.get("RELIABILITY") == "write" and not session.testsfailed:
        PAGE.write_text(page(found, PAGE.read_text(encoding="utf-8"), crash_points()), encoding="utf-8")


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Iterator[Callable[[Figures], None]]:
    """Takes down the test's figures, which must say that nothing was lost or doubled.

    Where a row is several tests, it has the figures of all of them.
    """
    (name,) = request.node.get_closest_marker("row").args

    def take_down(figures: Figures) -> None:
        assert (figures.lost, figures.doubled) == (0, 0), figures
        found = request.config.stash[FOUND]
        found[name] = added([found[name], figures]) if name in found else figures

    yield take_down
    assert request.session.testsfailed or name in request.config.stash[FOUND]


@pytest.fixture(scope="session")
def clock(tmp_path_factory: pytest.TempPathFactory) -> SharedClock:
    """The one clock that everything here goes by: what a test sets ahead stays ahead for the next one."""
    return new_clock(tmp_path_factory.mktemp("clock"))


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory, clock: SharedClock) -> Iterator[Target]:
    """The engine: one for all these tests; each test makes tables and queues of its own in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("infra.local.engine.MODULE", engine_process.__name__)
        patch.setenv(VARIABLE, str(clock.path))
        with running_engine(tmp_path_factory.mktemp("engine")) as target:
            yield target


@pytest.fixture(scope="session")
def aws(engine: Target) -> Iterator[Aws]:
    """Clients that go past the proxy."""
    aws = Aws(endpoint=engine.endpoint)
    yield aws
    aws.close()


@pytest.fixture
def proxy(engine: Target) -> Iterator[FaultProxy]:
    """Stands between the engine and everything that the test runs."""
    proxy = FaultProxy(engine, seed=SEED)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture
def make_installation(
    aws: Aws, proxy: FaultProxy, clock: SharedClock, tmp_path: Path
) -> Iterator[Callable[..., Installation]]:
    """Makes another installation in the same engine, behind the same proxy; settings by name.

    ``read_seconds``: how long its clients wait for an answer.
    """

    made: list[Installation] = []

    def make(**variables: Any) -> Installation:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(installed(aws, proxy, clock, folder, **variables))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def installation(make_installation: Callable[..., Installation]) -> Installation:
    return make_installation()


@pytest.fixture
def recovers(make_installation: Callable[..., Installation], record: Callable[[Figures], None]) -> Recovers:
    return lambda scenario, point: record(tried(make_installation, scenario, point))
