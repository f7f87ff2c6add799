"""What the run says when it is ready: where to go, what to paste, what signs the callbacks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.local.deployment import Deployment
    from infra.local.options import Options
    from infra.local.target import Target
    from infra.local.terminal import Terminal


def say_ready(terminal: Terminal, options: Options, target: Target, deployment: Deployment, callback_url: str) -> None:
    """Print the ready lines; ``callback_url`` is the run's own receiver."""
    url = f"http://127.0.0.1:{options.port}"
    say = terminal.say
    say(f"Tasklane is ready: {url} (dashboard: {url}/dashboard, documentation: {url}/docs)", "bold green")
    say("")
    task = json.dumps({"type": "FibonacciTask", "payload": {"n": 10}, "callback_url": callback_url})
    say("  Send a task, see its callback arrive here, and read all about it:")
    say(f"  curl -s {url}/v1/tasks -H 'Content-Type: application/json' -d '{task}'")
    say(f"  curl -s '{url}/v1/tasks/ID?wait=20&until=final'")
    say("")
    say(f"  Callbacks are signed with {options.webhook_secret}")
    say(f"  AWS is at {target.endpoint} (AWS_ENDPOINT_URL; key and secret: test)")
    say(f"  The API as a Lambda function: the same address, Host {deployment.http_api_id}.execute-api.localhost")
    if options.debug:
        say("  DEBUG: the worker runs in the API's process; breakpoint() in a handler stops here.", "yellow")
    say("  Edit a handler and it is live; Ctrl-C ends everything.")
    say("")
