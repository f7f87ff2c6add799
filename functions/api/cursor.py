"""Where to go on in a list, as callers carry it: opaque to them, and good for the list that gave it only."""

import base64
import binascii
import json
from typing import Final

from api.errors import InvalidCursor
from tasklane.listing import Entry

MAX_CURSOR: Final = 300
"""Characters; the longest id makes fewer."""


def write(of_list: str, entry: Entry | None) -> str | None:
    """The cursor to ``entry`` of the list that is called so; None for none."""
    if entry is None:
        return None
    return base64.urlsafe_b64encode(json.dumps([of_list, *entry]).encode()).decode().rstrip("=")


def read(of_list: str, cursor: str) -> Entry | None:
    """The entry to go on from; None where there is no cursor. Raises InvalidCursor."""
    if not cursor:
        return None
    try:
        its_list, at, task_id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, TypeError, binascii.Error) as exc:
        raise InvalidCursor("The cursor is not one that this API gave.") from exc
    if type(at) is not int or not isinstance(task_id, str) or not 0 <= at < 10**15:
        raise InvalidCursor("The cursor is not one that this API gave.")
    if its_list != of_list:
        raise InvalidCursor("The cursor belongs to another list, or to another order of this one.")
    return at, task_id
