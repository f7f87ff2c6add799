"""The command: starts an installation where none is named, submits, watches, sums up."""

from __future__ import annotations

import os
import secrets
import signal
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from infra.cli.client import Api
from infra.cli.demo.plan import plan
from infra.cli.demo.screen import Screen, screen
from infra.cli.demo.summary import Summary, summarize
from infra.cli.demo.watch import Demonstration, State
from infra.cli.errors import INTERRUPTED, WRONG_USE, CommandError
from infra.cli.options import Json, connect
from infra.cli.output import print_json
from infra.proxies import spare_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORKERS = 3
PAUSE_SECONDS = 0.4
LONGEST_PAUSE = 3.0
PAUSE_FACTOR = 2
"""A look at the tasks costs the API work: it has this much more time for other things."""


def demo(
    context: typer.Context,
    *,
    tasks: Annotated[int, typer.Option(metavar="N", min=1, max=100_000, help="How many tasks.")] = 500,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=32, help=f"How many local workers ({WORKERS}).", show_default=False),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(help="An API that runs already; without it a whole installation is started.", show_default=False),
    ] = None,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", min=1, help="Give up after that.")] = 900.0,
    seed: Annotated[int | None, typer.Option(help="Draw the same tasks again.", show_default=False)] = None,
    log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep what the local API and workers log.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Submit many random tasks, and watch them until all are final."""
    if url is not None and (workers is not None or log is not None):
        raise CommandError("--workers and --log are about a local installation, and --url names another.", WRONG_USE)
    console = Console(stderr=as_json)
    with _orderly_end(), ExitStack() as stack:
        try:
            alive = _nobody_to_look_after
            if url is None:
                console.print("Starting an installation: engine, API, workers.", highlight=False)
                url, alive = stack.enter_context(_local(workers or WORKERS, log))
            with connect(context, url) as api:
                summary = _run(api, console, tasks, Random(seed), timeout, alive)  # noqa: S311 - no secret
        except KeyboardInterrupt:
            raise CommandError("Interrupted.", INTERRUPTED) from None
    _tell(summary, as_json=as_json)


def _run(api: Api, console: Console, count: int, random: Random, timeout: float, alive: Callable[[], None]) -> Summary:
    """Submit so many tasks, and give what came of them when all are final."""
    demonstration = Demonstration(
        api, plan([one["name"] for one in api.task_types()], count, random), secrets.token_hex(4)
    )
    with screen(console) as shown, demonstration.submitting():
        shown.note(f"Submitting {count} tasks to {api.url}.")
        try:
            _watch(demonstration, shown, timeout, alive)
        except KeyboardInterrupt:
            state = summarize(demonstration.tasks)
            raise CommandError(
                f"Interrupted: {state.everything.tasks} of {count} tasks were final.", INTERRUPTED
            ) from None
    return summarize(demonstration.tasks)


def _watch(demonstration: Demonstration, shown: Screen, timeout: float, alive: Callable[[], None]) -> State:
    started = time.monotonic()
    while True:
        looked = time.monotonic()
        state = demonstration.look()
        now = time.monotonic()
        shown.update(state, demonstration.tasks, now - started)
        if state.ended == state.total:
            return state
        if now - started > timeout:
            raise CommandError(
                f"{state.total - state.ended} of {state.total} tasks were not final after {timeout:g} s."
            )
        alive()
        time.sleep(min(LONGEST_PAUSE, max(PAUSE_SECONDS, PAUSE_FACTOR * (now - looked))))


def _tell(summary: Summary, *, as_json: bool) -> None:
    """Print what came of it. Raises CommandError where a task did not complete."""
    print_json(summary.as_json()) if as_json else summary.print()
    failed = summary.everything.tasks - summary.statuses["completed"]
    if failed:
        raise CommandError(f"{failed} of {summary.everything.tasks} tasks did not complete.")


@contextmanager
def _local(workers: int, log: Path | None) -> Iterator[tuple[str, Callable[[], None]]]:
    """Start an installation here; its URL, and what raises CommandError when nobody works any more."""
    from infra.local.errors import LocalRunError  # noqa: PLC0415 - other commands need not wait for these
    from infra.local.installation import installation  # noqa: PLC0415
    from infra.local.terminal import Terminal  # noqa: PLC0415

    spare_loopback(os.environ)
    with ExitStack() as stack:
        try:
            output = stack.enter_context((log or Path(os.devnull)).open("w", encoding="utf-8"))
            terminal = Terminal(Console(file=output, soft_wrap=True, highlight=False))
            started = stack.enter_context(installation(workers=workers, terminal=terminal, output=output))
        except (LocalRunError, OSError) as exc:
            raise CommandError(f"The installation does not start: {exc}") from exc

        def alive() -> None:
            if all(worker.has_ended for worker in started.workers):
                raise CommandError("Every worker has ended; --log FILE keeps what they said.")

        yield started.url, alive


def _nobody_to_look_after() -> None:
    """An installation that others run is looked after by others."""


@contextmanager
def _orderly_end() -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM end the demonstration, and let nothing disturb its end."""
    from infra.local.lifeline import interrupt_once  # noqa: PLC0415

    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    interrupt_once()
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
