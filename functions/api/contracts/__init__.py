"""The contracts: HTTP interfaces of earlier systems, each one thin file that translates to the core.

A task answers in the words of the contract that it was submitted through, whichever of these routes it is read through.
"""

from collections.abc import Mapping
from typing import Final

from api.contracts import async_processor, shared_paths, task_queue
from api.contracts.common import View

ROUTERS: Final = (shared_paths.router,)
VIEWS: Final[Mapping[str, View]] = {
    task_queue.NAME: task_queue.view,
    async_processor.NAME: async_processor.view,
}
"""How a task answers, by the contract that it was submitted through."""
TAGS: Final = [
    {"name": task_queue.TAG, "description": "Priorities 1 to 5; numbers to compute. Shares its paths with contract 4."},
    {"name": async_processor.TAG, "description": "The smallest one; sends mail. Shares its paths with contract 2."},
]
