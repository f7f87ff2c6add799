"""Reads the fenced code blocks of a Markdown file, and compares a shown answer with a real one."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
ELLIPSIS = "…"


@dataclass(frozen=True, kw_only=True)
class Snippet:
    """One fenced block: what stands behind its fence, its text, and where it is."""

    info: str
    body: str
    path: Path
    line: int

    @property
    def name(self) -> str:
        """Where it stands: ``README.md:7``."""
        return f"{self.path.name}:{self.line}"

    def commands(self) -> list[tuple[str, str]]:
        """The commands of a console block, each with the answer shown below it."""
        commands: list[tuple[str, str]] = []
        for line in self.body.splitlines():
            if line.startswith("$ "):
                commands.append((line.removeprefix("$ "), ""))
            elif commands:
                command, answer = commands[-1]
                commands[-1] = (command, f"{answer}\n{line}".strip())
        return commands


def snippets(path: Path) -> Iterator[Snippet]:
    """The blocks of a file, in order."""
    text = path.read_text()
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield Snippet(info=match["info"].strip(), body=match["body"], path=path, line=line)


def matches(shown: str, real: str) -> bool:
    """Whether ``real`` is what was ``shown``, where … stands for anything; white space does not count in JSON."""
    pattern = ".*".join(re.escape(_compact(part)) for part in shown.split(ELLIPSIS))
    return re.fullmatch(pattern, _compact(_canonical(real)), re.DOTALL) is not None


def _canonical(text: str) -> str:
    try:
        return json.dumps(json.loads(text), ensure_ascii=False)
    except ValueError:
        return text


def _compact(text: str) -> str:
    return re.sub(r"\s+", "", text)
