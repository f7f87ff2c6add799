"""The kinds of fields that bodies, queries and headers have, checked: times, names, ids, keys, addresses."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import Header
from pydantic import AfterValidator, AnyUrl, BeforeValidator, Field, HttpUrl, PlainValidator, WithJsonSchema

from api.request import MAX_ID
from tasklane.task import HIGHEST_PRIORITY, LOWEST_PRIORITY, CallbackEvent
from tasklane.throttle import MAX_KEY, MAX_KEYS
from tasklane.timestamps import from_datetime
from tasklane.timing import MAX_DELAY_MS

MAX_NAME: Final = 128
"""Characters of a tenant or a type; a tenant is an SQS MessageGroupId, which takes no more."""
MAX_URL: Final = 2048
EVENTS: Final = [event.value for event in CallbackEvent]
YEAR: Final = MAX_DELAY_MS // 1000
"""Seconds; the same that everything else may be off."""

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _time(value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise ValueError("Must be a time with its offset, as in 2026-01-31T08:30:00Z (RFC 3339).")
    try:
        moment = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise ValueError("There is no such time in the years 1 to 9999.") from exc
    if moment.year < 1970:
        raise ValueError("Must not be before 1970.")
    return from_datetime(moment)


def _visible(value: str) -> str:
    if not value.isprintable() or value != value.strip():
        raise ValueError("Must have neither control or other invisible characters nor blanks at its ends.")
    return value


def _group(value: str) -> str:
    if not _visible(value).isascii() or " " in value:
        raise ValueError("Must be of ASCII letters, digits and punctuation.")
    return value


def _document(value: Any) -> Any:
    if not isinstance(value, dict | list):
        raise ValueError("Must be a JSON object or, for external workers, an array.")  # noqa: TRY004 - as pydantic has it
    return value


def _event(value: Any) -> Any:
    if value not in EVENTS:
        raise ValueError(f"Must be one of {', '.join(EVENTS)}; the end is always told.")
    return CallbackEvent(value)


def _each_once(events: list[CallbackEvent]) -> list[CallbackEvent]:
    if len(set(events)) < len(events):
        raise ValueError("Name each event once.")
    return events


def _no_credentials(url: AnyUrl) -> AnyUrl:
    if url.username is not None or url.password is not None:
        raise ValueError("Must not carry credentials.")
    if len(str(url)) > MAX_URL:
        raise ValueError(f"Must have at most {MAX_URL} characters.")
    return url


def at_most(count: int, of_what: str) -> BeforeValidator:
    """Refuses more than ``count`` entries."""

    def check(value: Any) -> Any:
        # Counted before the entries are looked at, each of which could cost an error message.
        if isinstance(value, Mapping | list) and len(value) > count:
            raise ValueError(f"At most {count} {of_what}.")
        return value

    return BeforeValidator(check)


def _whole(value: Any) -> Any:
    """JSON has one kind of number, and 3.0 is an integer of it (JSON Schema Validation, section 6.1.1)."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _plain_number(value: float) -> float:
    """An integer where it is one: kept and shown as it was written."""
    return int(value) if value.is_integer() else value


Time = Annotated[
    int,
    BeforeValidator(_time),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
WHOLE: Final = BeforeValidator(_whole)
"""Stands after the bounds of an integer: before them it would keep them out of the JSON Schema."""
Priority = Annotated[int, Field(ge=LOWEST_PRIORITY, le=HIGHEST_PRIORITY), WHOLE]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME), AfterValidator(_visible)]
Tenant = Annotated[
    str, Field(min_length=1, max_length=MAX_NAME, json_schema_extra={"pattern": "^[!-~]+$"}), AfterValidator(_group)
]
TaskId = Annotated[str, Field(min_length=1, max_length=MAX_ID, pattern="^[ -~]+$")]
LabelKey = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_visible)]
LabelValue = Annotated[str, Field(max_length=256)]
Seconds = Annotated[float, Field(ge=0, le=YEAR, allow_inf_nan=False), AfterValidator(_plain_number)]
Payload = Annotated[
    dict[str, Any] | list[Any],
    # One sentence, where a union would say for each of its members what is wrong.
    PlainValidator(_document, json_schema_input_type=dict[str, Any] | list[Any]),
]
CallbackUrl = Annotated[HttpUrl, AfterValidator(_no_credentials)]
CallbackEvents = Annotated[
    list[Annotated[CallbackEvent, BeforeValidator(_event), WithJsonSchema({"type": "string", "enum": EVENTS})]],
    at_most(len(EVENTS), "events"),
    AfterValidator(_each_once),
    Field(max_length=len(EVENTS), json_schema_extra={"uniqueItems": True}),
]


ThrottleKey = Annotated[str, Field(min_length=1, max_length=MAX_KEY), AfterValidator(_visible)]
ThrottleKeys = Annotated[
    list[ThrottleKey],
    at_most(MAX_KEYS, "keys"),
    Field(max_length=MAX_KEYS),
]


IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x20-\x7e]+$",
        description="Your own name for this request. Sent again with the same body, it makes no second task.",
    ),
]
