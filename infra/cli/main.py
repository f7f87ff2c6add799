"""`tasklane`: reads the command line, runs one command, says in one sentence what went wrong."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from infra.cli import housekeeping, lanes, limits, tasks, types
from infra.cli.demo.command import demo
from infra.cli.errors import FAILED, INTERRUPTED, CommandError, one_line
from infra.cli.options import Given
from infra.cli.output import require_output, say, unwritten
from infra.cli.register import ReaderGone, group
from tasklane import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

app = group(
    "Submit tasks, see what became of them, keep house.",
    tasks.submit,
    tasks.get,
    tasks.cancel,
    tasks.retry,
    housekeeping.show,
    housekeeping.clear,
    demo,
    name="tasklane",
)


def _say_version(asked: bool) -> None:  # noqa: FBT001 - typer's own form
    if asked:
        say(f"tasklane {__version__}")
        raise typer.Exit


@app.callback()
def _every_command(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", is_eager=True, callback=_say_version)
    ] = False,
) -> None:
    """Take what stands before the command."""
    del version  # said by then


app.add_typer(types.app, name="types")
app.add_typer(lanes.app, name="lanes")
app.add_typer(limits.app, name="limits")


def main(arguments: Sequence[str] | None = None, given: Given | None = None) -> int:
    """Run a command and give its exit code.

    0 done; 1 it could not be done, or the task that was waited for did not complete; 2 wrong use; 130 Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        require_output()
        answer = typer.main.get_command(app).main(words, prog_name="tasklane", standalone_mode=False, obj=given)
    except (CommandError, typer.TyperException, typer.Abort, KeyboardInterrupt) as exc:
        return _fail(exc)
    except ReaderGone:
        _print_no_more(sys.stdout)
        return 0
    except (OSError, UnicodeEncodeError) as exc:
        # Whatever else may end so is a CommandError by now.
        _print_no_more(sys.stdout)
        return _fail(unwritten(exc))
    if answer == INTERRUPTED:
        return _fail(KeyboardInterrupt())
    return answer if isinstance(answer, int) else 0


def _print_no_more(stream: TextIO) -> None:
    """Let go what is still to be written: Python would try once more at its end, and say what came of it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _fail(exc: BaseException) -> int:
    """Say on stderr what went wrong; the exit code."""
    if isinstance(exc, CommandError):
        sentence, code = str(exc), exc.code
    elif isinstance(exc, typer.TyperException):
        command = getattr(getattr(exc, "ctx", None), "command_path", "tasklane")
        said = one_line(exc.format_message())
        said = said if said.endswith((".", "?")) else f"{said}."
        sentence, code = f"{said} See `{command} --help`.", exc.exit_code
    elif isinstance(exc, typer.Abort):
        sentence, code = "Nothing was done.", FAILED
    else:
        sentence, code = "Interrupted.", INTERRUPTED
    try:
        print(sentence, file=sys.stderr, flush=True)
    except OSError:  # the exit code has to do
        _print_no_more(sys.stderr)
    return code
