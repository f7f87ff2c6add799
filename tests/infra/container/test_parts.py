"""The parts of a role's process: its settings, its health page, the rounds of the sweeper."""

from __future__ import annotations

import json
import socket
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from infra.container import __main__ as entry
from infra.container import probe
from infra.container.health import health_page
from infra.container.settings import VARIABLES, ProcessSettings, complete, read_process_settings
from infra.container.sweeping import Rounds, pause
from infra.local.engine import free_port
from tasklane.bootstrap import Services
from tasklane.errors import ConfigurationError, SweepFailed
from tests.support.installation import SETTINGS
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 10.0


# -- settings ----------------------------------------------------------------------------------------------------------


def test_every_setting_has_its_variable() -> None:
    assert set(VARIABLES.values()) == set(ProcessSettings.model_fields)


def test_what_is_not_said_or_empty_has_a_default() -> None:
    assert read_process_settings({"PORT": "", "OTHER": "1"}) == ProcessSettings()
    assert read_process_settings({"PORT": "9000", "TASKLANE_RUNNERS": "4"}) == ProcessSettings(port=9000, runners=4)


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "0"), ("TASKLANE_RUNNERS", "many"), ("TASKLANE_POLL_SECONDS", "21")]
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"Settings are wrong: {name}: "):
        read_process_settings({name: value, "TASKLANE_STOP_SECONDS": "100"})


def test_a_process_must_have_the_time_to_end_its_last_poll() -> None:
    assert read_process_settings({"TASKLANE_POLL_SECONDS": "20", "TASKLANE_STOP_SECONDS": "23"}).seconds_to_stop == 20
    with pytest.raises(ConfigurationError, match="TASKLANE_POLL_SECONDS must be at least 3 less than TASKLANE_STOP"):
        read_process_settings({"TASKLANE_POLL_SECONDS": "20", "TASKLANE_STOP_SECONDS": "22"})


def test_the_libraries_are_told_what_lambda_tells_them() -> None:
    given, silent = {"AWS_REGION": "eu-central-1", "POWERTOOLS_SERVICE_NAME": "mine"}, dict[str, str]()

    complete("worker", given)
    complete("worker", silent)

    assert given["AWS_DEFAULT_REGION"] == "eu-central-1"
    assert given["POWERTOOLS_SERVICE_NAME"] == "mine"
    assert silent == {"POWERTOOLS_SERVICE_NAME": "worker", "POWERTOOLS_METRICS_NAMESPACE": "Tasklane"}


def test_a_region_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], signals: None
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tasklane.bootstrap.function_services", lambda: Services(SETTINGS))

    assert entry.main(["worker"]) == entry.WRONG
    assert capsys.readouterr().err == "worker: Settings are missing: AWS_REGION\n"


@pytest.fixture
def signals() -> Iterator[None]:
    import signal

    before = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


# -- health ------------------------------------------------------------------------------------------------------------


class Work:
    def __init__(self) -> None:
        self.is_stuck: list[str] = []
        self.is_unanswered: list[str] = []

    def stuck(self) -> list[str]:
        return self.is_stuck

    def unanswered(self) -> list[str]:
        return self.is_unanswered


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def url(work: Work, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    port = free_port()
    monkeypatch.setenv("HOST", "127.0.0.1")
    monkeypatch.setenv("PORT", str(port))
    with health_page("127.0.0.1", port, "worker", work):
        yield f"http://127.0.0.1:{port}"


def get(url: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, json.load(exc)


def test_what_works_is_well(url: str) -> None:
    assert get(f"{url}/health") == get(f"{url}/health?deep=true") == (200, {"status": "ok", "role": "worker"})
    assert probe.main() == 0


def test_what_is_stuck_is_to_be_replaced(url: str, work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    work.is_stuck = ["lane-3"]

    assert get(f"{url}/health") == (503, {"status": "stuck", "role": "worker", "stuck": ["lane-3"]})
    assert probe.main() == 1
    assert "lane-3" in capsys.readouterr().err


def test_what_does_not_answer_is_no_reason_to_replace_who_asks(url: str, work: Work) -> None:
    work.is_unanswered = ["lane 3"]

    assert get(f"{url}/health")[0] == 200
    body = {"status": "unavailable", "role": "worker", "unanswered": ["lane 3"]}
    assert get(f"{url}/health?deep=true") == (503, body)
    assert probe.main() == 0


def test_there_is_nothing_else(url: str) -> None:
    assert get(f"{url}/metrics") == (404, {"status": "not found"})


def test_who_connects_and_says_nothing_keeps_nobody_waiting(url: str) -> None:
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))):
        assert get(f"{url}/health")[0] == 200


def test_a_probe_of_nothing_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HOST", "0.0.0.0")
    monkeypatch.setenv("PORT", str(port := free_port()))

    assert probe.main() == 1
    assert f"http://127.0.0.1:{port}/health does not answer" in capsys.readouterr().err


# -- rounds ------------------------------------------------------------------------------------------------------------


@contextmanager
def running(
    every: float, sweep: Callable[[Callable[[], float]], None], stop_seconds: float = PATIENCE
) -> Iterator[Rounds]:
    rounds, stop = Rounds(every, sweep), threading.Event()
    thread = threading.Thread(target=rounds.run, args=(stop, stop_seconds))
    thread.start()
    try:
        yield rounds
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize(("passed", "seconds"), [(0.0, 60.0), (59.5, 0.5), (60.0, 60.0), (61.0, 59.0), (605.0, 55.0)])
def test_rounds_begin_at_fixed_times_whatever_a_sweep_takes(passed: float, seconds: float) -> None:
    assert pause(passed, 60.0) == seconds


def test_rounds_come_again_and_again() -> None:
    begun: list[float] = []

    with running(0.05, lambda remaining: begun.append(remaining())):
        wait_for(lambda: len(begun) == 5)


def test_the_first_round_is_at_once() -> None:
    swept = threading.Event()

    with running(3600, lambda remaining: swept.set()):
        assert swept.wait(PATIENCE)


def test_a_sweep_that_fails_does_not_end_the_rounds() -> None:
    failures: list[Exception | None] = [SweepFailed("2 shards"), RuntimeError("a fault of our own"), None]
    seen: list[list[str]] = []

    def sweep(remaining: Callable[[], float]) -> None:
        seen.append(rounds.unanswered())
        failure = failures.pop(0) if failures else None
        if failure:
            raise failure

    rounds = Rounds(0.01, sweep)
    assert rounds.unanswered() == ["no sweep has ended yet"]
    stop = threading.Event()
    thread = threading.Thread(target=rounds.run, args=(stop, PATIENCE))
    thread.start()
    wait_for(lambda: len(seen) >= 4)
    stop.set()
    thread.join()

    assert seen[1:4] == [["2 shards"], ["RuntimeError('a fault of our own')"], []]


def test_a_sweep_that_runs_is_told_that_the_time_is_up_and_waited_for() -> None:
    asked: list[float] = []
    begun, ended = threading.Event(), threading.Event()

    def sweep(remaining: Callable[[], float]) -> None:
        asked.append(remaining())
        begun.set()
        wait_for(lambda: remaining() <= PATIENCE)
        ended.set()

    with running(3600, sweep):
        assert begun.wait(PATIENCE)
    assert 50 < asked[0] <= 60
    assert ended.is_set()


def test_a_sweep_that_does_not_end_is_not_waited_for_longer_than_there_is_time() -> None:
    begun, go, ended = threading.Event(), threading.Event(), threading.Event()

    def sweep(remaining: Callable[[], float]) -> None:
        begun.set()
        go.wait(6 * PATIENCE)
        ended.set()

    with running(3600, sweep, stop_seconds=0.1):
        assert begun.wait(PATIENCE)
    assert not ended.is_set()
    go.set()


def test_a_sweep_that_takes_too_long_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.container.sweeping.STUCK_SECONDS", 0.05)
    begun, go = threading.Event(), threading.Event()

    def sweep(remaining: Callable[[], float]) -> None:
        begun.set()
        go.wait(PATIENCE)

    with running(3600, sweep) as rounds:
        assert begun.wait(PATIENCE)
        wait_for(lambda: rounds.stuck() == ["sweeper"])
        go.set()
        wait_for(lambda: not rounds.stuck())
