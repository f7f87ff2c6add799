"""The loggers that a function's start sets up, given back as they were."""

import itertools
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from tasklane import observability

_runs = itertools.count()


@contextmanager
def loggers_of_its_own() -> Iterator[None]:
    """What a function logs to in here writes to a stream that is closed later: nobody else must find it."""
    core = [logging.getLogger(name) for name in observability.CORE_LOGGERS]
    before = [(logger.handlers, logger.level, logger.propagate) for logger in core]
    observability.get_logger.cache_clear()
    try:
        # Powertools keeps a logger, and the stream it writes to, for as long as there is one of the service's name.
        with patch.dict(os.environ, POWERTOOLS_SERVICE_NAME=f"function-{next(_runs)}"):
            yield
    finally:
        observability.get_logger.cache_clear()
        for logger, (handlers, level, propagate) in zip(core, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)
