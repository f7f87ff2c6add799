"""What a developer is told of code that cannot be imported: where it is, and what is wrong with it."""

from __future__ import annotations

import traceback
from pathlib import Path


def explain(error: BaseException, functions: Path) -> str:
    """One line for what Tasklane or the parser refuses; for other errors the frames of the code in ``functions``, too.

    functions: the folder that ships.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(Path(error.filename), functions)}:{error.lineno}: {error.msg}"
    frames = [one for one in traceback.extract_tb(error.__traceback__) if Path(one.filename).is_relative_to(functions)]
    handlers = [one for one in frames if Path(one.filename).is_relative_to(functions / "handlers")]
    place = (handlers or frames)[-1] if frames else None
    where = f"{_shown(Path(place.filename), functions)}:{place.lineno}: " if place else ""
    # By name: the class is the one of the code that is to be served, not the one that this process began with.
    if type(error).__name__ == "ConfigurationError":
        return f"{where}{error}"
    said = "".join(traceback.format_exception_only(error)).strip()
    own = frames[frames.index(handlers[0]) :] if handlers else frames
    return "\n".join([f"{where}{said}", *"".join(traceback.format_list(own)).splitlines()])


def _shown(path: Path, functions: Path) -> Path:
    return path.relative_to(functions.parent) if path.is_relative_to(functions) else path
