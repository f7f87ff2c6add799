"""How long the clients of a test wait for an answer: the SDK's read timeout, which is ten seconds in the product."""

from dataclasses import dataclass
from typing import Any, Final

from tasklane.aws import READ_SECONDS
from tasklane.bootstrap import Services

VARIABLE: Final = "FAULTS_READ_SECONDS"
"""The environment variable that tells a process how patient it is; empty: as in the product."""
LONG_POLL_SECONDS: Final = 1
"""For so long the workers of the tests let a lane have them wait, which is no timeout."""


@dataclass(frozen=True)
class Patience:
    """``seconds`` None: as in the product."""

    seconds: float | None = None

    def of(self, read_seconds: float) -> float:
        """The read timeout of a client that has this one in the product."""
        if self.seconds is None:
            return read_seconds
        return self.seconds + (LONG_POLL_SECONDS if read_seconds > READ_SECONDS else 0)


class PatientServices(Services):
    """The product's own composition, whose clients wait as long as ``patience`` says."""

    patience = Patience()

    def _client(self, service: Any, read_seconds: float = READ_SECONDS) -> Any:
        return super()._client(service, self.patience.of(read_seconds))
