"""A receiver that is down for days, in an installation that keeps its tasks for one."""

from collections.abc import Callable

import pytest

from tasklane.callback import PAUSES
from tasklane.errors import TaskNotFound
from tasklane.task import CallbackState
from tests.faults.figures import Figures
from tests.faults.history import figures
from tests.faults.installation import Installation
from tests.faults.receiver import receiving
from tests.faults.recovery import drain, has_ended, sweep_when_due


@pytest.mark.row("receiver-down")
def test_a_callback_outlives_a_short_retention_until_it_is_listed(
    make_installation: Callable[..., Installation], record: Callable[[Figures], None]
) -> None:
    installation = make_installation(TASKLANE_RETENTION_DAYS="1")
    services = installation.services()
    with receiving(lambda _task_id, _before: 503) as receiver:
        (task,) = installation.submit(services, callback_url=receiver.url)
        begun_at = installation.clock.now()
        for _ in range(4 * len(PAUSES)):
            drain(services)
            services.read(task.id)  # would not be found if its retention had ended
            if has_ended(installation.task(task)):
                break
            sweep_when_due(installation, services, [task])
        answers = receiver.answered[task.id]

    ended = installation.task(task)
    assert ended.callback is not None
    assert ended.callback.state is CallbackState.UNDELIVERED
    assert answers == [503] * (len(PAUSES) + 1)
    assert installation.clock.now() - begun_at > 3 * 86_400_000
    assert (ended.delete_at or 0) * 1000 > installation.clock.now() + 86_000_000
    record(figures(installation, [task]))
    installation.clock.advance_to(installation.clock.now() + 2 * 86_400_000)
    with pytest.raises(TaskNotFound):
        services.read(task.id)
