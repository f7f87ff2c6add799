"""Signing secrets in SSM or in AWS Secrets Manager: the installation's and, where they have some, the tenants' own.

What is read is kept for a minute, so that a rotation is seen without a deploy; the batch of a callback function costs
one request a minute for ten tenants (GetParameters).
"""

import hashlib
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from tasklane.errors import ConfigurationError, Unavailable
from tasklane.signature import parse_secrets

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

MAX_AGE_SECONDS: Final = 60.0
"""How long a rotated secret may go unnoticed."""
MAX_STALE_SECONDS: Final = 900.0
"""For how long what was read last is used while it cannot be read again."""
MAX_KEPT: Final = 10_000
NAMES: Final = 10
"""The most names one GetParameters takes."""
LEAF: Final = "webhook-secrets"
"""The last part of a place. It has more than six characters after its hyphen: an ARN that ended in six would be taken
for a whole one, whose last six Secrets Manager has made up."""
_PLAIN = re.compile(r"[A-Za-z0-9_.-]*[A-Za-z0-9_-][A-Za-z0-9_.-]*", re.ASCII)
"""What may stand in a path as it is; neither ``.`` nor ``..``."""


def place_of(root: str, tenant: str) -> str:
    """Where a tenant's own secrets are kept below ``root``, a path in SSM or an ARN in Secrets Manager.

    A name that is no plain part of a path is replaced by its digest, one level further down: no tenant's name leads to
    another tenant's secrets, or out of ``root``.
    """
    part = tenant if _PLAIN.fullmatch(tenant) else f"by-sha256/{hashlib.sha256(tenant.encode()).hexdigest()}"
    return f"{root}/{part}/{LEAF}"


class SecretsManager(Protocol):
    """What is used of boto3's client."""

    def get_secret_value(self, *, SecretId: str) -> Mapping[str, Any]:  # noqa: N803 - its name
        """The secret's present value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kept:
    """What was found at a place, and when; ``text`` None: nothing."""

    text: str | None
    read_at: float


class StoredSigningSecrets:
    """The ``whsec_`` secrets at a place, newest first, separated by white space.

    A place is the name of an SSM parameter or the ARN of a secret in Secrets Manager. ``installation`` is that of the
    secrets which sign for every tenant without its own; ``tenants`` is what the places of the tenants' own begin with,
    "" for none. A client is asked for only when it is needed.
    """

    def __init__(
        self,
        *,
        ssm: "Callable[[], SSMClient]",
        secrets_manager: "Callable[[], SecretsManager]",
        installation: str,
        tenants: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ssm = ssm
        self._secrets_manager = secrets_manager
        self._installation = installation
        self._tenants = tenants
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    def current(self, tenants: Collection[str]) -> Mapping[str, Sequence[str] | Unavailable | ConfigurationError]:
        """See SigningSecrets."""
        own = {tenant: place_of(self._tenants, tenant) for tenant in tenants} if self._tenants else {}
        problem = self._refresh({self._installation, *own.values()} - {""})
        return {tenant: self._secrets_of(own.get(tenant), problem) for tenant in tenants}

    def _secrets_of(
        self, own: str | None, problem: Unavailable | None
    ) -> Sequence[str] | Unavailable | ConfigurationError:
        for place in (own, self._installation):
            if not place:
                continue
            kept = self._kept.get(place)
            if kept is None:  # it may be there or not: another secret would be a wrong one
                return problem or Unavailable(f"nothing is known of {place!r}")
            if kept.text is not None:
                return _parsed(place, kept.text)
        return ConfigurationError(f"there is no signing secret for callbacks at {self._installation!r}")

    def _refresh(self, places: Collection[str]) -> Unavailable | None:
        """Read what was not read lately; what went wrong with it."""
        now = self._clock()
        if len(self._kept) > MAX_KEPT:
            self._kept.clear()
        for place in [place for place, kept in self._kept.items() if kept.read_at + MAX_STALE_SECONDS < now]:
            del self._kept[place]
        wanted = sorted(p for p in places if p not in self._kept or self._kept[p].read_at + MAX_AGE_SECONDS <= now)
        problem = None
        for read, some in self._requests(wanted):
            try:
                self._kept |= {place: _Kept(text=text, read_at=now) for place, text in read(some).items()}
            except (ClientError, BotoCoreError) as exc:
                problem = Unavailable(f"signing secrets could not be read: {exc}")
                problem.__cause__ = exc
        return problem

    def _requests(
        self, places: Sequence[str]
    ) -> "Iterator[tuple[Callable[[Sequence[str]], Mapping[str, str | None]], Sequence[str]]]":
        parameters = [place for place in places if not place.startswith("arn:")]
        for start in range(0, len(parameters), NAMES):
            yield self._from_ssm, parameters[start : start + NAMES]
        for place in places:
            if place.startswith("arn:"):
                yield self._from_secrets_manager, [place]

    def _from_ssm(self, names: Sequence[str]) -> Mapping[str, str | None]:
        answer = self._ssm().get_parameters(Names=list(names), WithDecryption=True)
        return dict.fromkeys(names) | {one["Name"]: one["Value"] for one in answer["Parameters"]}

    def _from_secrets_manager(self, arns: Sequence[str]) -> Mapping[str, str | None]:
        (arn,) = arns
        try:
            answer = self._secrets_manager().get_secret_value(SecretId=arn)
        except ClientError as exc:
            if exc.response["Error"]["Code"] == "ResourceNotFoundException":
                return {arn: None}
            raise
        return {arn: answer.get("SecretString", "")}


def _parsed(place: str, text: str) -> Sequence[str] | ConfigurationError:
    try:
        return parse_secrets(text)
    except ConfigurationError as exc:
        return ConfigurationError(f"{place!r}: {exc}")
