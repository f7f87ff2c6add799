"""A worker that dies on its way: nothing after that step happens, and nobody is told."""

from typing import Any

import pytest

from tests.support.installation import Installation


class Crash(BaseException):
    """The end of a process; nobody but the test is to catch it."""


def work_and_die(home: Installation, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Let a worker take what waits in the lane, and die where it comes to ``step``."""

    def dies(*_: Any) -> Any:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(step, dies)
        with pytest.raises(Crash):
            home.work()
