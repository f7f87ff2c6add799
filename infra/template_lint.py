"""`python -m infra.template_lint`: lints template.yaml as it stands and as SAM expands it.

cfn-lint alone misses a dangling reference in a function's environment or event, a wrong runtime in Globals and a
misspelt event property: they only show in the expanded template.
"""

from __future__ import annotations

import json
import sys

from cfnlint.api import lint  # type: ignore[import-untyped] # it has no types
from cfnlint.config import ManualArgs  # type: ignore[import-untyped]

from infra import template

REGION = "eu-central-1"  # any one: regions differ in what they offer, not in what a template means


def problems(text: str, name: str) -> list[str]:
    """List what cfn-lint finds in one template's text, a line each; an empty list is a clean template."""
    return [
        f"{name}:{match.linenumber}: {match.rule.id} {match.message}"
        for match in lint(text, config=ManualArgs(regions=[REGION]))
    ]


def all_problems() -> list[str]:
    """Lint the template as it stands, then as SAM expands it."""
    expanded = json.dumps(template.expand(template.load(), REGION), indent=1)
    return [
        *problems(template.TEMPLATE.read_text(encoding="utf-8"), template.TEMPLATE.name),
        *problems(expanded, f"{template.TEMPLATE.name} (expanded)"),
    ]


def main() -> int:
    """Print the problems; 1 if there are any."""
    found = all_problems()
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
