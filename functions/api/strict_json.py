"""Reads JSON strictly: what two readers could understand in two ways is refused, with a pointer to it.

Everything here is linear in the size of the text, whatever the text is.
"""

import json
import math
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, NoReturn

from api.errors import InvalidJson, Issue

MAX_DEPTH: Final = 99
"""Levels of arrays and objects, the outermost counted; far below what any parser's stack takes."""
MAX_ISSUES: Final = 20

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# The closing quote is optional so that an unterminated string is one match to the end: else every further quote would
# start another scan of the rest.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_OPENING = frozenset(b"[{")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_LONG_NUMBER = re.compile(rb"\d{309}")  # the shortest integer beyond a double has 309 digits


def parse(body: bytes) -> Any:
    """The value of ``body``. Raises InvalidJson."""
    text = _decode(body)
    _check_depth(body)
    reader = _Reader()
    try:
        value = json.loads(
            text,
            object_pairs_hook=reader.object,
            parse_float=reader.number,
            parse_int=reader.integer if _LONG_NUMBER.search(body) else None,
            parse_constant=reader.constant,
        )
    except json.JSONDecodeError as exc:
        raise InvalidJson(f"The body is not JSON: {exc.msg} (line {exc.lineno}, column {exc.colno}).") from exc
    if reader.flawed or _SURROGATE.search(body):
        _refuse_flaws(value)
    return value


def escape(part: str) -> str:
    """``part`` as one step of a JSON Pointer (RFC 6901, section 3); a lone surrogate becomes a question mark."""
    return part.encode("utf-8", "replace").decode().replace("~", "~0").replace("/", "~1")


class _Flaw:
    """Stands in the value for something that JSON does not allow, so that a walk finds the pointer to it."""

    def __init__(self, detail: str) -> None:
        self.detail = detail


class _Reader:
    """The decoder's hooks; ``flawed`` tells whether the value has a flaw in it."""

    def __init__(self) -> None:
        self.flawed = False

    def object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) != len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    value[key] = self._flaw("The key appears more than once.")
                seen.add(key)
        return value

    def number(self, text: str) -> float | _Flaw:
        value = float(text)
        return self._flaw("The number is too large for a double.") if math.isinf(value) else value

    def integer(self, text: str) -> int | float | _Flaw:
        # int() refuses 4,301 digits and takes quadratic time before; float() does neither.
        value = self.number(text)
        return int(text) if isinstance(value, float) else value

    def constant(self, text: str) -> _Flaw:
        return self._flaw(f"{text} is not JSON.")

    def _flaw(self, detail: str) -> _Flaw:
        self.flawed = True
        return _Flaw(detail)


def _decode(body: bytes) -> str:
    if not body:
        raise InvalidJson("The body is empty; it must be a JSON object.")
    if body.startswith(_BYTE_ORDER_MARK):
        raise InvalidJson("The body begins with a byte order mark; JSON has none (RFC 8259, section 8.1).")
    try:
        return body.decode()
    except UnicodeDecodeError as exc:
        raise InvalidJson(f"The body is not UTF-8 (byte {exc.start}).") from exc


def _check_depth(body: bytes) -> None:
    """Refuse deep nesting before the parser recurses into it."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in _STRING.sub(b"", body).translate(None, delete=_NO_BRACKETS):
        depth += 1 if bracket in _OPENING else -1
        if depth > MAX_DEPTH:
            raise InvalidJson(f"Arrays and objects are nested too deeply; at most {MAX_DEPTH} levels are allowed.")


def _refuse_flaws(value: Any) -> None:
    issues = list(islice(_flaws(value, ""), MAX_ISSUES))
    if issues:
        _refuse(issues)


def _refuse(issues: list[Issue]) -> NoReturn:
    raise InvalidJson("The body is not acceptable as JSON.", issues)


def _flaws(value: Any, pointer: str) -> Iterator[Issue]:
    if isinstance(value, _Flaw):
        yield {"pointer": pointer, "detail": value.detail}
    elif isinstance(value, str):
        if not _is_unicode(value):
            yield {"pointer": pointer, "detail": "The text has a lone surrogate; that is not Unicode."}
    elif isinstance(value, dict):
        for key, item in value.items():
            step = f"{pointer}/{escape(key)}"
            if not _is_unicode(key):
                yield {"pointer": step, "detail": "The key has a lone surrogate; that is not Unicode."}
            yield from _flaws(item, step)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _flaws(item, f"{pointer}/{index}")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
