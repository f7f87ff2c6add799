"""The callback function, the sweeper and the cleaner die in the midst of what they do."""

from collections.abc import Sequence

from tasklane.callback import INLINE_RESULT
from tasklane.document import blob_prefix
from tasklane.line import lane_target
from tasklane.pause import SETTLED_MS
from tasklane.task import CallbackEvent, Status, Task
from tests.faults.crash_scenarios import dying
from tests.faults.crash_trial import Trial
from tests.faults.recovery import drain
from tests.faults.task_types import LARGE


@dying(
    "callbacks",
    "DeliverCallbacks._live_secrets secrets.current",
    "DeliverCallbacks.__call__ store.get",
    "DeliverCallbacks._claim store.save",
    "Poster.__call__ http.post",
    "DeliverCallbacks._write store.save",
)
def delivers(trial: Trial) -> Sequence[Task]:
    return _owes(trial)


@dying("callbacks", "DeliverCallbacks._end_of blobs.get")
def delivers_a_large_result(trial: Trial) -> Sequence[Task]:
    return _owes(trial, pad="x" * LARGE)


@dying("callbacks", "DeliverCallbacks._end_of blobs.url")
def refers_to_a_huge_result(trial: Trial) -> Sequence[Task]:
    return _owes(trial, pad="x" * (INLINE_RESULT + 1))


@dying("callbacks", "DeliverCallbacks._write store.save", "DeliverCallbacks._write callback_queue.send")
def is_answered_with_an_error(trial: Trial) -> Sequence[Task]:
    trial.answers = [503]
    return _owes(trial)


@dying("callbacks", "DeliverCallbacks._write_late store.get", "DeliverCallbacks._write_late store.save")
def is_let_begin_anew_while_it_posts(trial: Trial) -> Sequence[Task]:
    answer = trial.receiver.answer

    def begin_anew(task_id: str, before: int) -> int:
        if before == 0:
            trial.services.manage.redeliver(task_id)
        return answer(task_id, before)

    trial.receiver.answer = begin_anew
    return _owes(trial)


@dying("callbacks", "DeliverCallbacks._go_on callback_queue.send")
def tells_of_a_running_task_in_vain(trial: Trial) -> Sequence[Task]:
    trial.answers = [503]
    task = trial.submit(callback_url=trial.url, callback_events=(CallbackEvent.RUNNING,), hold=1)
    trial.dies("work")
    return [task]


@dying(
    "sweeper",
    "Sweep._sweep_shard store.due",
    "Sweep._sweep_shard store.get",
    "Sweep._look_after store.save",
    "Sweep._look_after queue.send",
)
def sends_what_was_lost(trial: Trial) -> Sequence[Task]:
    tasks = trial.installation.accept_unsent(trial.services, 2)
    return _falls_due(trial, tasks)


@dying("sweeper", "Sweep._look_after store.save", "Sweep._look_after queue.send")
def promotes_what_was_far_off(trial: Trial) -> Sequence[Task]:
    return _falls_due(trial, [trial.submit(delay_seconds=3600)])


@dying("sweeper", "Sweep._look_after store.save", "Sweep._look_after callback_queue.send")
def sends_a_lost_callback(trial: Trial) -> Sequence[Task]:
    task = trial.submit(callback_url=trial.url)
    drain(trial.services, lanes=(task.priority,))
    (message,) = trial.services.source.receive(0, 10, 5)
    trial.services.source.acknowledge(0, [message.handle])
    return _falls_due(trial, [task])


@dying("sweeper", "Sweep._look_after store.save", "Sweep._look_after callback_queue.send", ends=Status.EXPIRED)
def expires_what_nobody_began(trial: Trial) -> Sequence[Task]:
    wish = {"delay_seconds": 3600, "expires_at": trial.now() + 3_660_000, "callback_url": trial.url}
    task = trial.submit(**wish)
    trial.installation.clock.advance_to(trial.now() + 3_700_000)
    return _falls_due(trial, [task])


@dying(
    "sweeper",
    "PauseTasks.sweep control.pauses",
    "Release.let_go store.in_line",
    "Release._read store.get",
    "Release._written store.save",
    "Release._round queue.send",
)
def lets_go_who_waits_after_a_pause(trial: Trial) -> Sequence[Task]:
    """The API had no time to: it ended the pause, and no more."""
    services = trial.services
    services.pause.pause(lane_target(3))
    tasks = [trial.submit() for _ in range(3)]
    drain(services)
    services.pause.resume(lane_target(3), lambda: True)
    trial.dies("sweep")
    return tasks


@dying("sweeper", "PauseTasks.sweep control.forget_pause")
def forgets_a_pause(trial: Trial) -> Sequence[Task]:
    services = trial.services
    services.pause.pause(lane_target(3))
    services.pause.resume(lane_target(3), lambda: False)
    trial.installation.clock.advance_to(trial.now() + SETTLED_MS + 1)
    task = trial.submit()
    trial.dies("sweep")
    return [task]


@dying("cleaner", "RemoveDocuments.__call__ blobs.delete_all")
def removes_documents(trial: Trial) -> Sequence[Task]:
    installation, s3 = trial.installation, trial.installation.aws.s3
    task = trial.submit(pad="x" * LARGE)
    drain(trial.services)

    def kept() -> int:
        prefix = blob_prefix(task.id, task.created_at)
        return s3.list_objects_v2(Bucket=installation.settings.bucket, Prefix=prefix)["KeyCount"]

    assert kept() == 2
    (installation.folder / "gone").write_text(f"{task.id} {task.created_at}")
    trial.dies("clean")
    # The stream hands out its record again.
    assert trial.services.remove_documents([(task.id, task.created_at)]) == frozenset()
    assert kept() == 0
    return [task]


def _owes(trial: Trial, **wish: object) -> Sequence[Task]:
    """A process finds a callback in its queue."""
    task = trial.submit(callback_url=trial.url, **wish)
    drain(trial.services, lanes=(task.priority,))
    trial.dies("work")
    return [task]


def _falls_due(trial: Trial, tasks: Sequence[Task]) -> Sequence[Task]:
    """The sweeper finds these tasks."""
    due = [task.due_at for task in trial.installation.tasks(tasks) if task.due_at is not None]
    trial.installation.clock.advance_to(max(due) + 1)
    trial.dies("sweep")
    return tasks
