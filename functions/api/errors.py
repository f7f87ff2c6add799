"""What can be wrong with a request before any use case sees it.

::

    RequestRefused                the request, as HTTP or JSON, cannot be accepted
    ├── UnsupportedMediaType      the body is not declared as JSON in UTF-8
    ├── BodyTooLarge              the body is over the limit
    ├── InvalidCursor             the place to go on from is none that this API gave
    └── InvalidJson               the body is no JSON, or no JSON that every reader understands alike
    NotThere                      the address is right, but nothing is there (yet)
    ├── NoResult                  the task has no result
    └── NoSuchTaskType            no task type has that name
"""

from collections.abc import Mapping, Sequence

Issue = Mapping[str, str]
"""``{"pointer": JSON Pointer (RFC 6901), "detail": sentence}``."""


class RequestRefused(Exception):
    """The request cannot be accepted; ``issues`` points at what is wrong in its body."""

    def __init__(self, detail: str, issues: Sequence[Issue] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.issues = tuple(issues)


class UnsupportedMediaType(RequestRefused):
    """The Content-Type is missing or is not JSON in UTF-8."""


class BodyTooLarge(RequestRefused):
    """The body is, or says that it is, larger than ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is larger than the limit of {limit} bytes.")


class InvalidCursor(RequestRefused):
    """The cursor is not one that an earlier answer gave."""


class InvalidJson(RequestRefused):
    """The body is not JSON (RFC 8259), or JSON that readers disagree about (doubled keys …; RFC 7493)."""


class NotThere(Exception):
    """There is nothing here; ``detail`` says why."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class NoResult(NotThere):
    """The task has no result: it is not completed."""


class NoSuchTaskType(NotThere):
    """No task type has the name in the path."""
