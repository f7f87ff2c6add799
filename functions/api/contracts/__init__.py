"""The contracts: HTTP interfaces of earlier systems, each one thin file that translates to the core.

A task answers in the words of the contract that it was submitted through, whichever of these routes it is read through.
"""

from collections.abc import Mapping
from typing import Final

from api.contracts import async_processor, pull_broker, shared_paths, task_execution, task_queue, task_throttler
from api.contracts.common import View

ROUTERS: Final = (pull_broker.router, shared_paths.router, task_execution.router, task_throttler.router)
VIEWS: Final[Mapping[str, View]] = {
    pull_broker.NAME: pull_broker.view,
    task_queue.NAME: task_queue.view,
    task_execution.NAME: task_execution.view,
    async_processor.NAME: async_processor.view,
    task_throttler.NAME: task_throttler.view,
}
"""How a task answers, by the contract that it was submitted through."""
NOT_SAFE: Final = frozenset({pull_broker.FETCH})
"""Where GET changes something, against RFC 9110: there is no HEAD, which probes and previews send at will."""
TAGS: Final = [
    {"name": pull_broker.TAG, "description": "External workers fetch work, and submit its results."},
    {"name": task_queue.TAG, "description": "Priorities 1 to 5; numbers to compute. Shares its paths with contract 4."},
    {"name": task_execution.TAG, "description": "Jobs whose status is streamed, and told to a callback."},
    {"name": async_processor.TAG, "description": "The smallest one; sends mail. Shares its paths with contract 2."},
    {"name": task_throttler.TAG, "description": "Four kinds of task, each with a path of its own."},
]
