"""What ends a command: one sentence on stderr, and an exit code."""

from __future__ import annotations

from typing import Any

FAILED = 1
WRONG_USE = 2
INTERRUPTED = 130
"""128 + SIGINT, as shells count it."""


class CommandError(Exception):
    """The command cannot do what it was asked to; its text is the sentence that says why."""

    def __init__(self, sentence: str, code: int = FAILED) -> None:
        super().__init__(sentence)
        self.code = code


class Refused(CommandError):
    """The API answered with a problem document; ``status`` is the HTTP status code."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def sentence_of(problem: dict[str, Any]) -> str:
    """Give a problem document (RFC 9457) as one sentence, with what is wrong at each place."""
    detail = one_line(str(problem.get("detail") or problem.get("title") or "The API refused.")).rstrip(".:")
    places = [
        f"{error.get('pointer') or 'body'}: {one_line(str(error.get('detail', ''))).rstrip('.')}"
        for error in problem.get("errors", ())
        if isinstance(error, dict)
    ]
    return f"{detail}: {'; '.join(places)}." if places else f"{detail}."


def one_line(text: str) -> str:
    """Give a text without line breaks and other invisible characters: what an API says must not drive a terminal."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
