"""Commands about the tasks there are: show, clear."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.client import DEFAULT_URL
from infra.cli.errors import WRONG_USE, CommandError
from infra.cli.options import Json, Url, connect, read_labels
from infra.cli.output import moment, print_json, print_tasks, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.cli.client import Task

Count = Annotated[int, typer.Argument(metavar="N", min=1, show_default=False)]
REASONS = {"running": "running", "callback": "waiting for the delivery of its callback"}


def show(
    context: typer.Context,
    count: Annotated[int, typer.Argument(metavar="[N]", min=1, help="How many.")] = 10,
    *,
    oldest: Annotated[bool, typer.Option("--oldest", help="The oldest ones.")] = False,
    status: Annotated[str | None, typer.Option(help="Only in this status.", show_default=False)] = None,
    name: Annotated[str | None, typer.Option("--type", help="Only of this type.", show_default=False)] = None,
    label: Annotated[
        str | None, typer.Option(metavar="KEY=VALUE", help="Only with this label.", show_default=False)
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Show the newest tasks."""
    filters = {"order": "oldest" if oldest else "newest"}
    filters |= {key: value for key, value in (("status", status), ("type", name)) if value}
    for key, value in read_labels([label] if label is not None else []).items():
        filters["label"] = f"{key}:{value}"
    with connect(context, url) as api:
        tasks = list(api.tasks(count, **filters))
    if as_json:
        print_json({"tasks": tasks})
    elif tasks:
        print_tasks(tasks)
    else:
        say("No tasks.")


def clear(
    context: typer.Context,
    count: Count,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Remove the N oldest tasks, with their payloads and results.

    Tasks that run are left alone, and so are those whose callback is still on its way.
    """
    with connect(context, url) as api:
        tasks = list(api.tasks(count, order="oldest"))
        if tasks and not yes:
            _ask(tasks)
        done = api.remove([task["id"] for task in tasks])
    if as_json:
        print_json(done)
    else:
        say(_told(done))


def _ask(tasks: Sequence[Task]) -> None:
    """Return if the tasks may be removed. Raises CommandError where nobody can be asked, typer.Abort for a no."""
    between = f"created from {moment(tasks[0]['created_at'])} to {moment(tasks[-1]['created_at'])}"
    if not sys.stdin.isatty():
        raise CommandError(f"{_tasks(len(tasks))} would be removed ({between}): say --yes to do it.", WRONG_USE)
    try:
        typer.confirm(f"Remove the {_tasks(len(tasks))} {between}?", abort=True, err=True)
    except typer.Abort as exc:
        if isinstance(exc.__context__, KeyboardInterrupt):
            print(file=sys.stderr)  # the cursor is still behind the question
            raise KeyboardInterrupt from None
        raise


def _told(done: dict[str, Any]) -> str:
    sentence = f"Removed {_tasks(done['removed'])}"
    if done["gone"]:
        sentence += f"; {done['gone']} had gone meanwhile"
    for reason, words in REASONS.items():
        left = sum(one["reason"] == reason for one in done["left"])
        if left:
            sentence += f"; left {left} alone ({words})"
    return sentence + "."


def _tasks(count: int) -> str:
    return f"{count} task" if count == 1 else f"{count} tasks"
