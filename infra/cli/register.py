"""How functions become commands."""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable


class ReaderGone(Exception):
    """Whoever reads what the command prints has seen enough: `tasklane show | head`."""


def group(words: str, *commands: Callable[..., None], name: str | None = None) -> typer.Typer:
    """Give a group of commands; ``words`` say what it is about. A command is called as its function, without ``_``."""
    made = typer.Typer(
        name=name,
        help=words,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for command in commands:
        made.command(command.__name__.strip("_"))(_until_the_reader_goes(command))
    return made


def _until_the_reader_goes(command: Callable[..., None]) -> Callable[..., None]:
    @wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
            sys.stdout.flush()
        except BrokenPipeError as exc:  # typer would make it exit code 1
            raise ReaderGone from exc

    return run
