"""A whole installation on this machine for a while: the engine, the deployed template, the API, some workers."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infra.local import api, clients, engine, lifeline, options, package, provision, roles, target
from infra.local.errors import LocalRunError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from infra.local.clients import Clients
    from infra.local.deployment import Deployment
    from infra.local.lifeline import Child
    from infra.local.target import Target
    from infra.local.terminal import Terminal

WORKER = "infra.local.worker_process"
STOP_SECONDS = 3.0  # a batch may be running: its tasks go with the installation


@dataclass(frozen=True, kw_only=True)
class Installation:
    """One that is ready."""

    url: str
    """Base URL of its API."""
    engine_url: str
    """Base URL of its engine."""
    workers: tuple[Child, ...]
    """Its workers' processes."""


@contextmanager
def installation(*, workers: int, terminal: Terminal, output: IO[str]) -> Iterator[Installation]:
    """Start an installation with so many workers on free ports; at the end nothing of it is left.

    terminal: prints what the API logs. output: a file that takes what the workers log. Raises LocalRunError.
    """
    functions = options.ROOT / "functions"
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tasklane-", ignore_cleanup_errors=True)))
        embedded = stack.enter_context(engine.running(port=engine.free_port(), scratch=scratch))
        served = stack.enter_context(
            api.serving(port=engine.free_port(), functions=functions, terminal=terminal, debug=False)
        )
        started = [stack.enter_context(_worker(functions, output)) for _ in range(workers)]
        stack.callback(_ask_to_end, started)
        zipped, template = package.build(functions), provision.read_template()
        embedded.wait_until_ready()
        aws = clients.connect(embedded.target)
        deployed = provision.deploy(aws, zipped, webhook_secret=options.LOCAL_SECRET, template=template)
        provision.set_lanes(aws, deployed, enabled=False)
        roles.open_api_role(aws, deployed, as_worker=False)
        roles.open_role(aws.iam, deployed.worker_function_role_arn)
        if not served.serve(
            _variables(aws, embedded.target, deployed.api_function_name, deployed.api_function_role_arn, scratch)
        ):
            raise LocalRunError("The API did not start.")
        _let_work(started, aws, embedded.target, deployed, scratch)
        yield Installation(url=served.url, engine_url=embedded.target.endpoint, workers=tuple(started))


@contextmanager
def _worker(functions: Path, output: IO[str]) -> Iterator[Child]:
    """A worker's process, which waits to be told where to work; the terminal's Ctrl-C is kept from it."""
    environment = target.without_sdk_variables(os.environ) | {"PYTHONUNBUFFERED": "1"}
    child = lifeline.start(WORKER, [str(functions)], environment=environment, output=output, own_group=True)
    try:
        yield child
    finally:
        child.stop(STOP_SECONDS)


def _ask_to_end(workers: list[Child]) -> None:
    """Let them end side by side: each hands back first what it has received."""
    for child in workers:
        child.ask_to_end()


def _let_work(workers: list[Child], aws: Clients, place: Target, deployed: Deployment, scratch: Path) -> None:
    function, role = deployed.worker_function_name, deployed.worker_function_role_arn
    variables = json.dumps(_variables(aws, place, function, role, scratch))
    for child in workers:
        child.tell(variables)
    if not all(child.wait_until_ready() for child in workers):
        raise LocalRunError("A worker did not start.")


def _variables(aws: Clients, place: Target, function: str, role_arn: str, scratch: Path) -> dict[str, str]:
    """A function's own variables, and the SDK's for its role."""
    configuration = aws.functions.get_function_configuration(FunctionName=function)
    return configuration["Environment"]["Variables"] | roles.write_profile(place, role_arn, scratch)
