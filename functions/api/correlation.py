"""The correlation id: names one request in its answer, in problems and in the logs."""

import logging
import re
import uuid
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Scope

HEADER: Final = "X-Correlation-Id"

_ACCEPTED = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}")  # nothing that could break a header, a log line or a shell
_KEY = "tasklane.correlation"
_current: ContextVar[str | None] = ContextVar("correlation_id", default=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Correlation:
    """A request's id; ``sent`` is True where the caller gave it."""

    id: str
    sent: bool


def begin(scope: Scope) -> Correlation:
    """The id of a request that begins here: the caller's own where it is a sane one, else a new one."""
    given = Headers(scope=scope).get(HEADER, "")
    sent = _ACCEPTED.fullmatch(given) is not None
    scope[_KEY] = found = Correlation(id=given if sent else uuid.uuid4().hex, sent=sent)
    _current.set(found.id)
    return found


def of(scope: Scope) -> Correlation:
    """The id of the request that ``scope`` belongs to."""
    found: Correlation = scope[_KEY]
    return found


class CorrelationFilter(logging.Filter):
    """Adds ``correlation_id`` to every log line that a request causes, in whichever thread."""

    def filter(self, record: logging.LogRecord) -> bool:
        """See logging.Filter; drops nothing."""
        if (current := _current.get()) is not None:
            record.correlation_id = current
        return True
