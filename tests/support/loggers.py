"""The loggers that a function's start sets up, given back as they were."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from tasklane import observability


@contextmanager
def loggers_of_its_own() -> Iterator[None]:
    """What a function logs to in here writes to a stream that is closed later: nobody else must find it."""
    core = [logging.getLogger(name) for name in observability.CORE_LOGGERS]
    before = [(logger.handlers, logger.level, logger.propagate) for logger in core]
    observability.get_logger.cache_clear()
    try:
        yield
    finally:
        observability.get_logger.cache_clear()
        for logger, (handlers, level, propagate) in zip(core, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)
