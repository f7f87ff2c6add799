"""`tasklane limits`: how many tasks of a key run at once, and how fast they start."""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from infra.cli.client import DEFAULT_URL, PAGE, in_a_path
from infra.cli.errors import WRONG_USE, CommandError
from infra.cli.options import Json, Url, connect
from infra.cli.output import print_columns, print_json, say
from infra.cli.register import group

Key = Annotated[
    str, typer.Argument(metavar="KEY", show_default=False, help="The key, as tasks name it in throttle_keys.")
]
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_RATE = re.compile(r"(?P<count>\d+)(/(?=.)(?P<number>\d+(\.\d+)?)?(?P<unit>[smhd])?)?")


def list_(context: typer.Context, *, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Show the limits, and how many running tasks count towards each."""
    found: list[dict[str, Any]] = []
    with connect(context, url) as api:
        cursor: str | None = ""
        while cursor is not None:
            query = urlencode({"limit": str(PAGE)} | ({"cursor": cursor} if cursor else {}), quote_via=quote, safe="")
            page = api.call("GET", f"/v1/limits?{query}")
            found, cursor = found + page["limits"], page["next_cursor"]
    if as_json:
        print_json({"limits": found})
    elif found:
        rows = ((one["key"], one["in_use"], one["max_concurrent"], written(one["rate"])) for one in found)
        print_columns(("KEY", "IN USE", "AT ONCE", "RATE"), rows)
    else:
        say("No limits.")


def set_(
    context: typer.Context,
    key: Key,
    *,
    at_once: Annotated[
        int | None,
        typer.Option("--max-concurrent", metavar="N", min=0, show_default=False, help="So many run at once."),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(metavar="N[/PERIOD]", show_default=False, help="So many start in a period: 20/s, 100/5m, 1/0.5."),
    ] = None,
    burst: Annotated[
        int | None, typer.Option(metavar="N", min=1, show_default=False, help="So many of these may come together.")
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Limit the tasks of a key, instead of as before; workers hear of it within seconds."""
    if at_once is None and rate is None:
        raise CommandError(
            "Give --max-concurrent, --rate or both; `tasklane limits delete` removes a limit.", WRONG_USE
        )
    if burst is not None and rate is None:
        raise CommandError("--burst is about a --rate.", WRONG_USE)
    limit = {"max_concurrent": at_once, "rate": rate and (read_rate(rate) | ({"burst": burst} if burst else {}))}
    with connect(context, url) as api:
        answer = api.call("PUT", _path(key), {name: value for name, value in limit.items() if value is not None})
    if as_json:
        print_json(answer)
        return
    words = [f"{at_once} at once" if at_once is not None else "", written(answer["rate"]) or ""]
    say(f"{key} is limited to {' and '.join(word for word in words if word)}.")


def delete(context: typer.Context, key: Key, *, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Limit a key no longer, and let go what waits for it."""
    with connect(context, url) as api:
        api.call("DELETE", _path(key))
    if not as_json:  # the API answers with nothing
        say(f"{key} is not limited.")


def read_rate(given: str) -> dict[str, Any]:
    """Give a rate as the API takes it. Raises CommandError."""
    found = _RATE.fullmatch(given)
    if found is None:
        raise CommandError(f"{given!r} is no rate: write 20/s, 100/5m or 1/0.5 (seconds).", WRONG_USE)
    seconds = float(found["number"] or 1) * UNITS[found["unit"] or "s"]
    return {"count": int(found["count"]), "period_seconds": seconds}


def written(rate: dict[str, Any] | None) -> str | None:
    """Give a rate as people write it."""
    if rate is None:
        return None
    period = rate["period_seconds"]
    unit = next((name for name, length in reversed(UNITS.items()) if period == length), f"{period:g} s")
    burst = f", {rate['burst']} together" if (rate.get("burst") or 1) > 1 else ""
    return f"{rate['count']}/{unit}{burst}"


def _path(key: str) -> str:
    return f"/v1/limits/{in_a_path(key)}"


app = group("How many tasks of a key run at once, and how fast they start.", list_, set_, delete)
