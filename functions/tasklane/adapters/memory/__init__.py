"""The ports in memory: for tests, and for trying a handler without any engine.

They keep the contract that the AWS adapters keep (one suite runs on both), for one process and as long as it lives.
"""

from tasklane.adapters.memory.clock import ManualClock
from tasklane.adapters.memory.control import MemoryControlStore
from tasklane.adapters.memory.outside import MemoryBlobStore, MemoryHttp, MemoryMailer, StaticSigningSecrets
from tasklane.adapters.memory.queues import MemoryCallbackQueue, MemoryQueueDepths, MemoryQueues, MemoryTaskQueue
from tasklane.adapters.memory.tasks import MemoryTaskStore

__all__ = [
    "ManualClock",
    "MemoryBlobStore",
    "MemoryCallbackQueue",
    "MemoryControlStore",
    "MemoryHttp",
    "MemoryMailer",
    "MemoryQueueDepths",
    "MemoryQueues",
    "MemoryTaskQueue",
    "MemoryTaskStore",
    "StaticSigningSecrets",
]
