"""The composition root: the ports on AWS (``tasklane.aws``) → use cases.

Every part is made when it is first asked for, so that a function pays only for what it uses.
"""

from collections.abc import Callable, Mapping
from functools import cache, cached_property
from typing import Any

from tasklane.aws import AwsPorts
from tasklane.callback import DeliverCallbacks
from tasklane.cleanup import RemoveDocuments
from tasklane.errors import Unavailable
from tasklane.execute import Execute
from tasklane.fetch import Fetch
from tasklane.lease import Leases
from tasklane.limits import ManageLimits
from tasklane.lines import Lines
from tasklane.listing import ListCallbacks, ListTasks
from tasklane.manage import ManageTasks, ReadTasks
from tasklane.pause import PauseTasks
from tasklane.redrive import Redrive
from tasklane.registry import Registry, load_handlers
from tasklane.release import Release
from tasklane.remove import RemoveTasks
from tasklane.settings import Settings
from tasklane.submit import Submit
from tasklane.sweep import Sweep
from tasklane.task_types import TaskTypes


class Services(AwsPorts):
    """The use cases of an installation, ready to be called.

    A test gives its own ports by name (``store``, ``queue``, …); what is not given is made on AWS from ``settings``.
    """

    def __init__(self, settings: Settings | None = None, *, registry: Registry | None = None, **ports: Any) -> None:
        super().__init__(settings, **ports)
        self._registry = registry

    @cached_property
    def registry(self) -> Registry:
        """The task types; the modules of ``handlers`` unless a test gave its own."""
        return self._registry or load_handlers()

    @cached_property
    def types(self) -> TaskTypes:
        """The task types, those that were declared for external workers too."""
        return TaskTypes(registry=self.registry, control=self.control, clock=self.clock)

    @cached_property
    def leases(self) -> Leases:
        """Ends and renews the leases of external workers."""
        return Leases(
            store=self.store,
            queue=self.queue,
            callback_queue=self.callback_queue,
            blobs=self.blobs,
            types=self.types,
            clock=self.clock,
            timing=self.settings.timing,
        )

    @cached_property
    def fetch(self) -> Fetch:
        """Leases tasks to external workers."""
        return Fetch(
            store=self.store,
            queue=self.queue,
            callback_queue=self.callback_queue,
            control=self.control,
            clock=self.clock,
            timing=self.settings.timing,
        )

    @cached_property
    def submit(self) -> Submit:
        """Accepts tasks."""
        return Submit(
            store=self.store,
            queue=self.queue,
            blobs=self.blobs,
            types=self.types,
            clock=self.clock,
            timing=self.settings.timing,
            allow_loopback=self.settings.allow_loopback,
        )

    @cached_property
    def read(self) -> ReadTasks:
        """Shows tasks."""
        return ReadTasks(store=self.store, blobs=self.blobs, clock=self.clock)

    @cached_property
    def manage(self) -> ManageTasks:
        """Changes tasks by hand."""
        return ManageTasks(
            read=self.read,
            store=self.store,
            queue=self.queue,
            callback_queue=self.callback_queue,
            control=self.control,
            clock=self.clock,
            timing=self.settings.timing,
        )

    @cached_property
    def list_tasks(self) -> ListTasks:
        """Lists tasks."""
        return ListTasks(store=self.store, clock=self.clock)

    @cached_property
    def remove_tasks(self) -> RemoveTasks:
        """Forgets tasks."""
        return RemoveTasks(store=self.store, clock=self.clock)

    @cached_property
    def pause(self) -> PauseTasks:
        """Pauses and resumes lanes and task types."""
        return PauseTasks(control=self.control, release=self._release, clock=self.clock)

    @cached_property
    def limits(self) -> ManageLimits:
        """Sets limits."""
        return ManageLimits(control=self.control, lines=self._lines, release=self._release, clock=self.clock)

    @cached_property
    def list_callbacks(self) -> ListCallbacks:
        """Lists tasks by what became of their callback."""
        return ListCallbacks(store=self.store, clock=self.clock)

    @cached_property
    def execute(self) -> Execute:
        """Runs batches of tasks."""
        return Execute(
            store=self.store,
            queue=self.queue,
            callback_queue=self.callback_queue,
            blobs=self.blobs,
            downloader=self.http,
            mailer=self.mailer,
            control=self.control,
            registry=self.registry,
            types=self.types,
            clock=self.clock,
            timing=self.settings.timing,
        )

    @cached_property
    def deliver_callbacks(self) -> DeliverCallbacks:
        """Delivers callbacks."""
        return DeliverCallbacks(
            store=self.store,
            callback_queue=self.callback_queue,
            blobs=self.blobs,
            sender=self.http,
            secrets=self.secrets,
            clock=self.clock,
            timing=self.settings.timing,
            terms=self.settings.callback_terms,
        )

    @cached_property
    def redrive(self) -> Redrive:
        """Brings back what lanes and callback queue gave up."""
        return Redrive(
            store=self.store,
            queue=self.queue,
            callback_queue=self.callback_queue,
            dead_letters=self.dead_letters,
            clock=self.clock,
            timing=self.settings.timing,
        )

    @cached_property
    def remove_documents(self) -> RemoveDocuments:
        """Removes what was kept for tasks that are gone."""
        return RemoveDocuments(blobs=self.blobs)

    @cached_property
    def sweep(self) -> Sweep:
        """Looks after what is due."""
        return Sweep(
            store=self.store,
            queue=self.queue,
            callback_queue=self.callback_queue,
            control=self.control,
            types=self.types,
            clock=self.clock,
            timing=self.settings.timing,
        )

    def check(self) -> Mapping[str, str]:
        """Whether table and queues answer: "ok", or what is wrong, by name."""
        checks = {
            "table": self.store.check,
            "lanes": self.queue.check,
            "callback_queue": self.callback_queue.check,
        }
        return {name: _health(check) for name, check in checks.items()}

    @cached_property
    def _lines(self) -> Lines:
        timing = self.settings.timing
        return Lines(store=self.store, queue=self.queue, control=self.control, clock=self.clock, timing=timing)

    @cached_property
    def _release(self) -> Release:
        timing = self.settings.timing
        return Release(store=self.store, queue=self.queue, control=self.control, clock=self.clock, timing=timing)


def _health(check: Callable[[], None]) -> str:
    try:
        check()
    except Unavailable as exc:
        return str(exc)
    return "ok"


@cache
def function_services() -> Services:
    """The services of this Lambda function or process, made once, from its environment."""
    return Services()
