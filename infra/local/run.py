"""The run itself: starts everything, says when it is ready, redeploys what is edited, and ends everything."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from watchfiles import watch

from infra.local import api, clients, engine, lifeline, logs, package, provision, ready, receiver, roles, target
from infra.local.errors import LocalRunError
from infra.template import TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.local.api import Api
    from infra.local.deployment import Deployment
    from infra.local.engine import Engine
    from infra.local.options import Options
    from infra.local.target import Target
    from infra.local.terminal import Terminal

CHECK_MS = 1_000  # how often the processes are looked at
SETTLE_MS = 50  # an editor writes a file in several steps


def run(options: Options, terminal: Terminal) -> None:
    """Run until Ctrl-C or SIGTERM; raises LocalRunError if it cannot start or go on."""
    lifeline.interrupt_once()
    try:
        with ExitStack() as stack:
            _start(options, terminal, stack).follow_edits()
    except KeyboardInterrupt:
        terminal.say("Stopped.")


def _start(options: Options, terminal: Terminal, stack: ExitStack) -> _Session:
    scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tasklane-", ignore_cleanup_errors=True)))
    place = target.from_environment()
    embedded = None
    if place is None:
        place = target.at_port(options.engine_port)
        engine.require_free_port(options.port, "PORT")  # before anything else, so that it is said at once
        embedded = stack.enter_context(engine.running(port=options.engine_port, scratch=scratch, state=options.state))
    served = stack.enter_context(
        api.serving(port=options.port, functions=options.functions, terminal=terminal, debug=options.debug)
    )
    # Engine and API are busy starting: what needs neither of them is done meanwhile.
    session = _Session(options, terminal, place, scratch, embedded, served)
    zipped, template = package.build(options.functions), provision.read_template()
    if embedded:
        embedded.wait_until_ready()
    deployed = session.deploy(zipped, template)
    groups = logs.log_groups(session.clients, deployed.function_names)
    stack.enter_context(logs.following(session.clients, groups, terminal))
    callbacks = stack.enter_context(receiver.receiving(terminal, options.webhook_secret))
    session.when_it_serves(lambda: ready.say_ready(terminal, options, place, deployed, callbacks))
    return session


class _Session:
    """A run from its first deploy to its end."""

    def __init__(
        self, options: Options, terminal: Terminal, place: Target, scratch: Path, embedded: Engine | None, served: Api
    ) -> None:
        self.clients = clients.connect(place)
        self._options = options
        self._terminal = terminal
        self._target = place
        self._scratch = scratch
        self._engine = embedded
        self._api = served
        self._deployed: Deployment | None = None
        self._environment: dict[str, str] = {}
        self._serves = False
        self._say_ready: Callable[[], None] | None = None

    def deploy(self, zipped: package.Package, template: provision.Template | None = None) -> Deployment:
        """Deploy template and code, and let the API serve under its function's role and variables."""
        debug = self._options.debug
        secret = self._options.webhook_secret
        self._deployed = deployed = provision.deploy(self.clients, zipped, webhook_secret=secret, template=template)
        provision.set_lanes(self.clients, deployed, enabled=not debug)
        roles.open_api_role(self.clients, deployed, as_worker=debug)
        function = self.clients.functions.get_function_configuration(FunctionName=deployed.api_function_name)
        self._environment = (
            function["Environment"]["Variables"]
            | roles.write_profile(self._target, deployed.api_function_role_arn, self._scratch)
            | ({api.POLL_LANES: "true"} if debug else {})
        )
        self._serve(deployed)
        provision.warm_up(self.clients, deployed.callback_function_name)
        return deployed

    def when_it_serves(self, say_ready: Callable[[], None]) -> None:
        """Say that all is ready: now, or once code has been saved that the API can start with."""
        if self._serves:
            say_ready()
        else:
            self._say_ready = say_ready

    def follow_edits(self) -> None:
        """Redeploy whenever a file of the functions or the template is saved."""
        watched = (self._options.functions, TEMPLATE)
        for changes in watch(*watched, step=SETTLE_MS, rust_timeout=CHECK_MS, yield_on_timeout=True):
            if changes:
                self._redeploy([Path(path) for _, path in changes])
            else:
                self._api.keep_spare()
                if self._serves and self._api.has_ended:
                    self._serve_again()
            if self._engine and self._engine.child.has_ended:
                raise LocalRunError(
                    f"The engine ended by itself; run again. The end of its log:\n{self._engine.tail()}"
                )

    def _serve_again(self) -> None:
        self._terminal.say("The API's process ended; another one takes its place.", "bold red")
        self._api.prepare()
        if self._deployed:
            self._serve(self._deployed)

    def _redeploy(self, edited: list[Path]) -> None:
        """Deploy the code as it is now; code that does not compile, or deploy, leaves everything as it is."""
        started = time.monotonic()
        names = ", ".join(sorted({path.name for path in edited}))
        try:
            zipped = self._sound_package(edited)
            if self._deployed is None or TEMPLATE in edited:
                self.deploy(zipped)
            else:
                provision.update_code(self.clients, self._deployed, zipped)
                self._serve(self._deployed)
        except SyntaxError as exc:
            self._terminal.say(f"{exc.filename}:{exc.lineno}: {exc.msg}; not deployed.", "bold red")
        except LocalRunError as exc:
            self._terminal.say(f"{exc}\nNot deployed.", "bold red")
        else:
            self._terminal.say(f"{names}: live after {time.monotonic() - started:.1f} s.", "bold")

    def _sound_package(self, edited: list[Path]) -> package.Package:
        """Zip the code once another process of the API could import it: the functions get no code that cannot run."""
        package.check(edited)
        self._api.prepare()
        zipped = package.build(self._options.functions)
        if not self._api.can_take_over():
            raise LocalRunError("This code cannot be imported, see above; what was there before goes on.")
        return zipped

    def _serve(self, deployed: Deployment) -> None:
        if self._api.can_take_over():  # what the API cannot import the worker cannot either
            provision.warm_up(self.clients, deployed.worker_function_name)
        self._serves = self._api.serve(self._environment)
        if not self._serves:
            self._terminal.say("The API did not start with this code; mend it and save it.", "bold red")
        elif self._say_ready:
            self._say_ready()
            self._say_ready = None
