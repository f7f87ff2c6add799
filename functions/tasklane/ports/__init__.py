"""What the use cases need from the world, named by role. Adapters in ``tasklane.adapters`` provide it.

Stores and queues speak in batches; one is a batch of one. An answer has one entry per request, in the same order.
``Unavailable`` as an entry means that this one request was refused or not answered: it may or may not have happened,
so every request here is safe to repeat. Where a whole batch fails, every entry is ``Unavailable``.
"""

from tasklane.ports.control import KEYS_TOGETHER, ControlStore, Pause
from tasklane.ports.outside import (
    BlobStore,
    CallbackSender,
    Clock,
    Downloader,
    HttpResponse,
    Mailer,
    Outbound,
    SigningSecrets,
)
from tasklane.ports.queues import CallbackQueue, Delivery, Depth, MessageSource, QueueDepths, TaskQueue
from tasklane.ports.tasks import Blocked, Change, Claim, TaskStore

__all__ = [
    "KEYS_TOGETHER",
    "BlobStore",
    "Blocked",
    "CallbackQueue",
    "CallbackSender",
    "Change",
    "Claim",
    "Clock",
    "ControlStore",
    "Delivery",
    "Depth",
    "Downloader",
    "HttpResponse",
    "Mailer",
    "MessageSource",
    "Outbound",
    "Pause",
    "QueueDepths",
    "SigningSecrets",
    "TaskQueue",
    "TaskStore",
]
