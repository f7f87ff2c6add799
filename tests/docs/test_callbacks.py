"""The page for receivers says what a callback leaves out of a task, and nothing else."""

import re

from api.views import TaskView
from tasklane.callback_body import Event, body_of
from tests.docs.conftest import ROOT
from tests.support.builders import NOW, a_completed_task


def test_every_member_that_is_not_told_is_named() -> None:
    told = body_of(Event(name="completed", task=a_completed_task(), at=NOW), None)["data"]
    page = (ROOT / "docs" / "callbacks.md").read_text()

    [named] = re.findall(r"as `GET /v1/tasks/\{id\}` shows it, without ([^.]*)\.", page)

    # The result's address has its own paragraph: it is told where there is need of one.
    assert {*re.findall(r"`(\w+)`", named)} == TaskView.model_fields.keys() - told.keys() - {"result_url"}
