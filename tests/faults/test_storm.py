"""Everything at once: every promise, at a fault rate of a fifth, with a fixed seed."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tasklane.errors import TasklaneError, Unavailable
from tasklane.line import lane_target, type_target
from tasklane.task import Status, Task
from tasklane.throttle import Rate
from tests.faults.conftest import SEED
from tests.faults.figures import Figures
from tests.faults.history import backward_steps, figures
from tests.faults.installation import HIDDEN_SECONDS, Installation, a_queue_with_dead_letters
from tests.faults.plans import no_faults, seeded
from tests.faults.processes import Process, start, workers
from tests.faults.receiver import Receiver, receiving
from tests.faults.recovery import has_ended
from tests.faults.storm_people import LOOK_SECONDS, accepted, answer, meddling, watching, working_outside
from tests.faults.storm_promises import (
    assert_accepted_means_kept,
    assert_bad_input_is_refused_or_a_dead_letter,
    assert_delivered_or_listed,
    assert_nobody_got_in,
    assert_outcomes_exactly_once,
)
from tests.faults.storm_tasks import PAUSED_LANE, Kind, Wish, refusals, wishes
from tests.faults.storm_types import AT_ONCE, GATE, PACE, PER_SECOND
from tests.faults.test_bad_input import POISON
from tests.support.engine import Aws
from tests.support.waiting import wait_for

FAULT_RATE = 0.2
WAITED_FOR_RATE = 0.02
"""The part of the broken requests that takes the client's whole patience."""
READ_SECONDS = 1.0
RECEIVES = 5
SECONDS = 600.0
"""Far longer than it takes; only a test that fails runs so long."""
STILL_SECONDS = 1.0
CLIENTS = 16
ACTOR = "work-in-a-storm"


@contextmanager
def sweeping(installation: Installation) -> Iterator[None]:
    """A sweeper that never rests, and a clock that goes ahead whenever nothing moves."""
    services, ended = installation.services(), threading.Event()

    def sweep() -> None:
        while not ended.wait(0.2):
            services.sweep(lambda: 60.0)

    def pass_time() -> None:
        last, since = 0, time.monotonic()
        while not ended.wait(LOOK_SECONDS):
            tasks = [states[-1] for states in installation.journal.values()]
            done = sum((task.run + _tries(task) + 1) * (has_ended(task) + 1) for task in tasks)
            if done != last:
                last, since = done, time.monotonic()
            elif time.monotonic() - since > STILL_SECONDS:
                installation.clock.advance_to(max((task.due_at or 0 for task in tasks), default=0) + 1)
                since = time.monotonic()

    with ThreadPoolExecutor(2) as pool:
        threads = [pool.submit(sweep), pool.submit(pass_time)]
        try:
            yield
        finally:
            ended.set()
            for thread in threads:
                thread.result()


class Storm:
    """The installation, what it is asked to do, and what is seen of it from outside."""

    def __init__(self, installation: Installation, receiver: Receiver, trap: Receiver) -> None:
        self.installation = installation
        self.receiver = receiver
        self.trap = trap
        self.services = installation.services()
        self.since = installation.clock.now()
        self.wishes = wishes(SEED, receiver.url, forbidden(trap))
        self.tasks: list[Task] = []
        self.by_id: dict[str, Wish] = {}
        self.most: dict[str, int] = {}
        self.began_while_paused = -1
        self.faults: Counter[Any] = Counter()

    def prepare(self) -> None:
        """What operators decide before it begins."""
        self.services.limits.put(GATE, max_concurrent=AT_ONCE, rate=None)
        self.services.limits.put(PACE, max_concurrent=None, rate=Rate(count=PER_SECOND, period_ms=1000))
        self.services.pause.pause(lane_target(PAUSED_LANE))
        self.services.pause.pause(type_target("late"))
        for number, body in enumerate(filter(None, POISON)):
            self.installation.aws.sqs.send_message(QueueUrl=self.installation.lane(1 + number % 5), MessageBody=body)

    def submit(self, wish: Wish) -> Task:
        task = accepted(self.services, wish)
        self.by_id[task.id] = wish
        return task

    def refuse(self) -> list[type[TasklaneError]]:
        """Submit what must be refused; how it was."""
        refused: list[type[TasklaneError]] = []
        for submission in refusals():
            with pytest.raises(TasklaneError) as caught:
                self.services.submit(submission)
            refused.append(caught.type)
        return refused

    def run(self, running: list[Process]) -> None:
        installation, kinds = self.installation, _KindsOf(self.by_id)
        with ExitStack() as stack:
            stack.enter_context(sweeping(installation))
            stack.enter_context(meddling(installation, kinds))
            stack.enter_context(working_outside(installation, SEED))
            stack.enter_context(watching(installation, (GATE,), self.most))
            clients = stack.enter_context(ThreadPoolExecutor(CLIENTS))
            self.tasks = list(clients.map(self.submit, self.wishes))
            wait_for(lambda: self.completed() > len(self.tasks) // 4, pause=pause, seconds=SECONDS)
            running[0].kill()
            running.append(start(installation, ACTOR))
            self.began_while_paused = sum(
                state.priority == PAUSED_LANE and state.status is Status.RUNNING
                for states in installation.journal.values()
                for state in states
            )
            _insist(lambda: self.services.pause.resume(lane_target(PAUSED_LANE), lambda: False))
            wait_for(self.all_ended, pause=pause, seconds=SECONDS)

    def completed(self) -> int:
        return sum(states[-1].status is Status.COMPLETED for states in self.installation.journal.values())

    def all_ended(self) -> bool:
        """Everybody has come to his end: a failed one that is to be retried has not."""
        journal = self.installation.journal
        return all(has_ended(states[-1]) for states in journal.values()) and all(
            journal[task.id][-1].status is self.by_id[task.id].end for task in self.tasks
        )


class _KindsOf(Mapping[str, Kind]):
    """The kinds of the tasks that were accepted so far."""

    def __init__(self, wishes: Mapping[str, Wish]) -> None:
        self._wishes = wishes

    def __getitem__(self, task_id: str) -> Kind:
        return self._wishes[task_id].kind

    def __iter__(self) -> Iterator[str]:
        return iter(self._wishes)

    def __len__(self) -> int:
        return len(self._wishes)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.row("storm")
def test_every_promise_holds_while_a_fifth_of_all_requests_is_broken(
    aws: Aws, make_installation: Callable[..., Installation], record: Callable[[Figures], None]
) -> None:
    queues = [a_queue_with_dead_letters(aws, receives=RECEIVES, visibility_seconds=HIDDEN_SECONDS) for _ in range(5)]
    installation = make_installation(
        read_seconds=READ_SECONDS,
        TASKLANE_RECOVERY_SECONDS="10",
        TASKLANE_LANE_URLS=",".join(lane for lane, _ in queues),
        TASKLANE_DEAD_LETTER_URLS=",".join(dead for _, dead in queues),
    )
    for url in itertools.chain(*queues):  # the clock goes days ahead, and poison must not be lost with age
        aws.sqs.set_queue_attributes(QueueUrl=url, Attributes={"MessageRetentionPeriod": "1209600"})
    proxy = installation.proxy
    with receiving() as trap, receiving(lambda task_id, before: reply(storm, task_id, before)) as receiver:
        storm = Storm(installation, receiver, trap)
        storm.prepare()
        with workers(installation, 2, actor=ACTOR) as running:
            proxy.begin(seeded(SEED, FAULT_RATE, WAITED_FOR_RATE))
            refused = storm.refuse()
            storm.run(running)
            faults, requests, timeouts = proxy.faults.total(), proxy.requests.total(), proxy.timeouts.total()
            proxy.begin(no_faults)
            dead = dead_letters(installation, [dead for _, dead in queues])

    now = installation.tasks(storm.tasks)
    print(f"{requests} requests, {faults} broken, {timeouts} timeouts; {Counter(task.status for task in now)}")
    assert faults > requests * FAULT_RATE / 2
    assert timeouts > 10
    assert_accepted_means_kept(storm, now)
    assert not backward_steps(installation.journal)  # promise 2
    assert_outcomes_exactly_once(storm, now)
    assert_delivered_or_listed(storm, now)
    assert_bad_input_is_refused_or_a_dead_letter(storm, refused, dead)
    assert_nobody_got_in(storm, now)
    record(figures(installation, storm.tasks))


def pause() -> None:
    time.sleep(LOOK_SECONDS)


def reply(storm: Storm, task_id: str, before: int) -> int:
    return answer(SEED, storm.by_id.get(task_id), before, FAULT_RATE)


def forbidden(trap: Receiver) -> list[str]:
    """Addresses of a server that is there and would answer: to reach it is allowed where it is asked for, which is the
    local run, and not where it is tried."""
    port = trap.server_address[1]
    hosts = ("localhost", "0x7f.1", "2130706433", "127.1", "127.0.0.2")
    return [f"http://{host}:{port}/" for host in hosts]


def dead_letters(installation: Installation, queues: Sequence[str]) -> list[str]:
    """The bodies of all dead letters, once the poison is among them."""
    found: list[str] = []
    since = [time.monotonic()]

    def all_there() -> bool:
        if time.monotonic() - since[0] > STILL_SECONDS:
            # What a dead worker had, or whose giving back was broken, is invisible until then.
            installation.clock.advance_to(installation.clock.now() + (HIDDEN_SECONDS + 1) * 1000)
            since[0] = time.monotonic()
        for queue in queues:
            received = installation.aws.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0)
            for one in received.get("Messages", ()):
                found.append(one["Body"])
                installation.aws.sqs.delete_message(QueueUrl=queue, ReceiptHandle=one["ReceiptHandle"])
        return set(filter(None, POISON)) <= set(found)

    wait_for(all_there, "the poison is among the dead letters", pause=pause)
    return found


def _tries(task: Task) -> int:
    return task.callback.tries if task.callback else 0


def _insist(call: Callable[[], object]) -> None:
    while True:
        try:
            call()
        except Unavailable:
            continue
        return
