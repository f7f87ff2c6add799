"""Options that commands share, and what a command is given to work with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.client import Api
from infra.cli.errors import WRONG_USE, CommandError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

Url = Annotated[str, typer.Option("--url", envvar="TASKLANE_URL", help="The API's base URL.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
TaskId = Annotated[str, typer.Argument(metavar="ID", show_default=False, help="The task's id.")]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", min=0, show_default=False, help="With --wait: wait no longer."),
]


@dataclass(frozen=True, kw_only=True)
class Given:
    """What `main` gives every command: another way to the API, for tests; None is the network."""

    transport: httpx.BaseTransport | None = None


def connect(context: typer.Context, url: str) -> Api:
    """Give the API at ``url``. Raises CommandError for a URL that is none."""
    given = context.find_object(Given) or Given()
    return Api(url, given.transport)


def read_labels(given: Sequence[str]) -> dict[str, str]:
    """Give the labels. Raises CommandError for one without a key or a value."""
    wrong = next((label for label in given if label.find("=") < 1), None)
    if wrong is not None:
        raise CommandError(f"The label {wrong!r} is not KEY=VALUE.", WRONG_USE)
    return dict(label.split("=", 1) for label in given)
