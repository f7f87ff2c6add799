"""Signing secrets in an SSM SecureString, read once in a while."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from aws_lambda_powertools.utilities.parameters import SSMProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

from tasklane.errors import Unavailable
from tasklane.signature import parse_secrets

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

MAX_AGE_SECONDS: Final = 60
"""How long a rotated secret may go unnoticed."""


class SsmSigningSecrets:
    """The ``whsec_`` secrets in the parameter ``name``, newest first, separated by white space."""

    def __init__(self, client: "SSMClient", name: str) -> None:
        self._provider = SSMProvider(boto3_client=client)
        self._name = name

    def current(self) -> Sequence[str]:
        """See SigningSecrets."""
        try:
            text = self._provider.get(self._name, max_age=MAX_AGE_SECONDS, decrypt=True)
        except GetParameterError as exc:
            raise Unavailable(f"the signing secrets could not be read from {self._name!r}: {exc}") from exc
        return parse_secrets(str(text or ""))
