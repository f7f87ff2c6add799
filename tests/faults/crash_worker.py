"""A worker dies in the midst of a batch."""

from collections.abc import Sequence
from typing import Final

from tasklane.line import lane_target
from tasklane.message import TaskMessage
from tasklane.task import CallbackEvent, Status, Task
from tests.faults.clock import SharedClock
from tests.faults.crash_scenarios import dying
from tests.faults.crash_trial import MINUTE_MS, Trial
from tests.faults.task_types import LARGE
from tests.support.builders import a_claim
from tests.support.waiting import wait_for

LONG: Final = 600
"""Seconds; more than half of what a batch has."""


@dying(
    "worker",
    "Poller._receive source.receive",
    "Gate._read control.pauses",
    "Claims._claim store.claim",
    "Ending._save store.save",
    "Ending._save callback_queue.send",
    "Poller._handle source.acknowledge",
)
def runs_a_task(trial: Trial) -> Sequence[Task]:
    task = trial.submit(callback_url=trial.url)
    trial.dies("work")
    return [task]


@dying("worker", "Claims._claim store.claim", "Ending._save store.save", "Poller._handle source.acknowledge")
def runs_a_batch(trial: Trial) -> Sequence[Task]:
    tasks = [trial.submit() for _ in range(3)]
    trial.dies("work")
    return tasks


@dying("worker", "Ending._save store.save", "Ending._save queue.send")
def runs_what_fails_at_first(trial: Trial) -> Sequence[Task]:
    task = trial.submit(fail=1)
    trial.dies("work")
    return [task]


@dying("worker", "Starter._start blobs.get", "Outcomes._result blobs.put")
def runs_what_is_large(trial: Trial) -> Sequence[Task]:
    task = trial.submit(pad="x" * LARGE)
    trial.dies("work")
    return [task]


@dying(
    "worker",
    "TaskContext.download http.download",
    "TaskContext.keep_file blobs.put",
    "TaskContext.send_mail mailer.send",
    "TaskContext.pack_state blobs.put",
    "TaskContext.state blobs.get",
)
def runs_an_errand(trial: Trial) -> Sequence[Task]:
    task = trial.submit(type="errand", payload={"url": trial.url})
    trial.dies("work")
    return [task]


@dying("worker", "Visibility._extend source.extend")
def keeps_its_messages_from_others(trial: Trial) -> Sequence[Task]:
    tasks = [trial.submit(hold=1), trial.submit()]
    trial.dies("work")
    return tasks


@dying("worker", "Watch._renew store.renew")
def reports_progress(trial: Trial) -> Sequence[Task]:
    task = trial.submit(hold=1, say=True)
    trial.dies("work")
    return [task]


@dying("worker", "Watch._renew store.renew", minutes=6)
def renews_a_run_that_began_late(trial: Trial) -> Sequence[Task]:
    """Its lease would outlast its time in the index, so that is moved."""
    task = trial.submit(hold=1, say=True)
    trial.installation.clock.advance_to(trial.now() + 2 * MINUTE_MS)
    trial.dies("work")
    return [task]


@dying("worker", "Watch._look store.get", ends=Status.CANCELLED)
def looks_whether_what_asks_was_called_off(trial: Trial) -> Sequence[Task]:
    task = trial.submit(hold=1, ask=True)
    trial.dies("work")
    trial.services.manage.cancel(task.id)
    return [task]


@dying("worker", "Announcer._send callback_queue.send")
def tells_that_a_task_runs(trial: Trial) -> Sequence[Task]:
    task = trial.submit(callback_url=trial.url, callback_events=(CallbackEvent.RUNNING,))
    trial.dies("work")
    return [task]


@dying("worker", "Lines.hold store.get", "Lines.hold store.save", "Poller._handle source.acknowledge")
def finds_its_lane_paused(trial: Trial) -> Sequence[Task]:
    trial.services.pause.pause(lane_target(3))
    tasks = [trial.submit() for _ in range(3)]
    trial.dies("work")
    trial.services.pause.resume(lane_target(3), lambda: False)
    return tasks


@dying("worker", "Release._round queue.send")
def holds_a_task_whose_pause_is_over(trial: Trial) -> Sequence[Task]:
    """What it knows of pauses is a few seconds old; so it looks again when it has held something back."""
    trial.services.pause.pause(lane_target(3))
    tasks = [trial.submit()]

    def resume() -> None:
        wait_for(lambda: trial.installation.task(tasks[0]).line)
        trial.services.pause.resume(lane_target(3), lambda: False)
        tasks.append(trial.submit())

    trial.dies("work", meanwhile=resume)
    return tasks


@dying("worker", "Ending._called_off store.get", "Ending._save store.save", ends=Status.CANCELLED)
def runs_what_is_called_off_as_it_fails(trial: Trial) -> Sequence[Task]:
    task = trial.submit(hold=1, fail=1, callback_url=trial.url)

    def call_off() -> None:
        wait_for(lambda: trial.installation.world.effects(task.id))
        trial.services.manage.cancel(task.id)
        trial.installation.world.open_gate(task.id)

    trial.dies("work", meanwhile=call_off)
    return [task]


@dying(
    "worker",
    "Admission._expire store.get",
    "Admission._expire store.save",
    "Admission._expire callback_queue.send",
    ends=Status.EXPIRED,
)
def finds_a_task_expired(trial: Trial) -> Sequence[Task]:
    task = trial.submit(expires_at=trial.now() + 5000, callback_url=trial.url)
    trial.installation.clock.advance_to(trial.now() + 6000)
    trial.dies("work")
    return [task]


@dying("worker", "Admission._send_on queue.send")
def finds_a_message_early(trial: Trial) -> Sequence[Task]:
    """Sent by somebody whose clock is two minutes ahead."""
    task = trial.submit(delay_seconds=1200)
    ahead = SharedClock(path=trial.installation.clock.path, skew_ms=2 * MINUTE_MS)
    trial.installation.clock.advance_to((task.run_at or 0) - MINUTE_MS)
    trial.installation.services(clock=ahead).queue.send([TaskMessage.of(task)])
    trial.dies("work")
    return [task]


@dying("worker", "Execute._send_again queue.send")
def finds_long_work_that_waslost(trial: Trial) -> Sequence[Task]:
    """It needs most of the time that a batch has, so the rest of its batch is sent again."""
    long, other = lost(trial, trial.submit(timeout_seconds=LONG)), trial.submit()
    trial.dies("work")
    return [long, other]


@dying("worker", "Poller._hand_back source.release")
def finds_poison_in_its_batch(trial: Trial) -> Sequence[Task]:
    trial.installation.aws.sqs.send_message(QueueUrl=trial.installation.lane(), MessageBody="no JSON")
    task = trial.submit()
    trial.dies("work")
    return [task]


def lost(trial: Trial, task: Task) -> Task:
    """The task's worker was lost, and the sweeper has sent it again."""
    services = trial.services
    (received,) = services.source.receive(task.priority, 1, 5)
    services.source.acknowledge(task.priority, [received.handle])
    services.store.claim([a_claim(task, now=trial.now())])
    trial.installation.clock.advance_to(trial.now() + (LONG + 60) * 1000)
    services.sweep(lambda: 60.0)
    return trial.installation.task(task)
