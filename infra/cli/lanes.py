"""`tasklane lanes`: how full they are, hold them back, bring back what they gave up."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

import typer

from infra.cli.client import DEFAULT_URL, Api
from infra.cli.options import Json, Url, connect
from infra.cli.output import moment, print_columns, print_json, say
from infra.cli.register import group

LANES = ("1", "2", "3", "4", "5")
CALLBACKS = "callbacks"
MOST = 10_000
"""Dead letters that one request takes at most."""
KEPT = {"poison": "no messages of Tasklane's", "unanswered": "not answered for now"}


def _read_lane(given: str) -> int:
    if given == CALLBACKS:
        raise typer.BadParameter("callbacks can only be redriven; the lanes 1 to 5 can be paused.")
    if given not in LANES:
        raise typer.BadParameter(f"{given!r} is none of the lanes 1 to 5.")
    return int(given)


def _read_queue(given: str) -> str:
    if given not in (*LANES, CALLBACKS):
        raise typer.BadParameter(f"{given!r} is none of the lanes 1 to 5, nor callbacks.")
    return given


Lane = Annotated[int, typer.Argument(metavar="LANE", parser=_read_lane, show_default=False, help="1 to 5; 5 is first.")]


def list_(context: typer.Context, *, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Show about how many messages each lane and the callback queue hold, and what is paused."""
    with connect(context, url) as api:
        queues = api.call("GET", "/v1/lanes")
    if as_json:
        print_json(queues)
        return
    rows = [(lane["lane"], lane, moment(lane["paused_since"])) for lane in queues["lanes"]]
    print_columns(
        ("LANE", "WAITING", "DELAYED", "IN FLIGHT", "DEAD LETTERS", "PAUSED SINCE"),
        (
            (name, queue["waiting"], queue["delayed"], queue["in_flight"], queue["dead_letters"], since)
            for name, queue, since in (*rows, ("callbacks", queues["callbacks"], None))
        ),
    )


def pause(context: typer.Context, lane: Lane, *, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Start no task of a lane any more; those that run go on."""
    with connect(context, url) as api:
        tell_paused(api.call("POST", f"/v1/lanes/{lane}/pause"), f"Lane {lane}", as_json=as_json)


def resume(context: typer.Context, lane: Lane, *, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Let the tasks of a lane start again."""
    with connect(context, url) as api:
        tell_resumed(api.call("POST", f"/v1/lanes/{lane}/resume"), f"Lane {lane}", as_json=as_json)


def redrive(
    context: typer.Context,
    lane: Annotated[
        str, typer.Argument(metavar="LANE", parser=_read_queue, show_default=False, help="1 to 5, or callbacks.")
    ],
    *,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="At most so many dead letters.")] = 1000,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Let failed tasks begin again.")] = False,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Send the tasks of dead letters again, and remove the letters that nothing follows from."""
    path = "/v1/callbacks/redrive" if lane == CALLBACKS else f"/v1/lanes/{lane}/redrive"
    options = "&failed=retry" if retry_failed and lane != CALLBACKS else ""
    with connect(context, url) as api:
        total = _redriven(api, path, options, limit)
    print_json(total) if as_json else say(_told(total))


def tell_paused(answer: Any, what: str, *, as_json: bool) -> None:
    """Print that something is paused."""
    print_json(answer) if as_json else say(f"{what} is paused since {moment(answer['paused_since'])}.")


def tell_resumed(answer: Any, what: str, *, as_json: bool) -> None:
    """Print that something goes on."""
    if as_json:
        print_json(answer)
        return
    released = answer["released"]
    more = ", more follow" if answer["more"] else ""
    say(f"{what} goes on; {released} {'task that was' if released == 1 else 'tasks that were'} held back sent{more}.")


def _redriven(api: Api, path: str, options: str, limit: int) -> dict[str, Any]:
    """Redrive until nothing more comes of it, or the limit is reached; the answers, put together as one."""
    done, removed, left = Counter[str](), Counter[str](), limit
    while True:
        answer = api.call("POST", f"{path}?limit={min(left, MOST)}{options}")
        removed.update(answer["removed"])
        done.update({name: answer[name] for name in ("sent", "reopened") if name in answer})
        before, left = left, limit - done.total() - removed.total()
        if not answer["more"] or left in (0, before) or left < 0:
            # What stays is counted by each look at it, and so the last answer tells.
            together: dict[str, Any] = {**answer, **done, "removed": dict(removed)}
            return together


def _told(total: dict[str, Any]) -> str:
    parts = [f"{total['sent']} sent again"]
    if total.get("reopened"):
        parts.append(f"{total['reopened']} failed, begin again")
    if total["removed"]:
        words = ", ".join(f"{count} {status}" for status, count in sorted(total["removed"].items()))
        parts.append(f"{sum(total['removed'].values())} removed ({words})")
    parts += [f"{total[name]} left ({words})" for name, words in KEPT.items() if total[name]]
    return f"Dead letters: {'; '.join(parts)}{'; there are more' if total['more'] else ''}."


app = group("How full the lanes are; hold them back, bring back what they gave up.", list_, pause, resume, redrive)
