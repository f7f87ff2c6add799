"""`tasklane types`: what the installation can do, and hold some of it back."""

from __future__ import annotations

from typing import Annotated

import typer

from infra.cli.client import DEFAULT_URL, in_a_path
from infra.cli.lanes import tell_paused, tell_resumed
from infra.cli.options import Json, Url, connect
from infra.cli.output import moment, print_columns, print_json
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


app = group("What the installation can do; hold some of it back.", list_, pause, resume)
