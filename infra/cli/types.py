"""`tasklane types`: what the installation can do, and hold some of it back."""

from __future__ import annotations

from typing import Annotated

import typer

from infra.cli.client import DEFAULT_URL, in_a_path
from infra.cli.lanes import tell_paused, tell_resumed
from infra.cli.options import Json, Url, connect
from infra.cli.output import moment, print_columns, print_json, say
from infra.cli.register import group

Name = Annotated[str, typer.Argument(metavar="TYPE", show_default=False, help="The task type.")]


def list_(context: typer.Context, *, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Show the task types."""
    with connect(context, url) as api:
        found = api.task_types()
        pauses = {one["target"]: one["paused_since"] for one in api.call("GET", "/v1/pauses")["pauses"]}
    if as_json:
        held = {target: at for target, at in pauses.items() if target.startswith("type:")}
        print_json({"task_types": found, "paused": held})
        return
    print_columns(
        ("TYPE", "PRIORITY", "TIMEOUT", "ATTEMPTS", "PAUSED SINCE", "DESCRIPTION"),
        (
            (
                one["name"],
                one["priority"],
                f"{one['timeout_seconds']} s",
                one["retry"]["max_attempts"],
                moment(pauses.get(f"type:{one['name']}")),
                one["description"].partition("\n")[0],
            )
            for one in found
        ),
    )


def pause(context: typer.Context, name: Name, *, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Start no task of a type any more, in whatever lane; those that run go on."""
    with connect(context, url) as api:
        answer = api.call("POST", f"/v1/task-types/{in_a_path(name)}/pause")
    tell_paused(answer, name, as_json=as_json)


def resume(context: typer.Context, name: Name, *, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Let the tasks of a type start again."""
    with connect(context, url) as api:
        answer = api.call("POST", f"/v1/task-types/{in_a_path(name)}/resume")
    tell_resumed(answer, name, as_json=as_json)


def declare(
    context: typer.Context,
    name: Name,
    *,
    priority: Annotated[
        int | None, typer.Option(min=1, max=5, show_default=False, help="5 is first, 1 is last.")
    ] = None,
    timeout: Annotated[
        int | None, typer.Option(metavar="SECONDS", min=1, show_default=False, help="How long a lease lasts.")
    ] = None,
    max_attempts: Annotated[
        int | None, typer.Option(metavar="N", min=1, show_default=False, help="How often a task is tried in all.")
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Accept tasks of a type that external workers do; declared again, it is changed."""
    wish = {"name": name, "priority": priority, "timeout_seconds": timeout, "max_attempts": max_attempts}
    with connect(context, url) as api:
        answer = api.call("POST", "/v1/task-types", {key: value for key, value in wish.items() if value is not None})
    if as_json:
        print_json(answer)
    else:
        say(f"{answer['name']} is declared: external workers fetch its tasks.")


app = group(
    "What the installation can do; hold some of it back, and declare what others do.", list_, pause, resume, declare
)
