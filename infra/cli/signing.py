"""Signs calls to a deployed API, which lets nobody in without AWS credentials (Signature Version 4)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx

from infra.cli.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.credentials import Credentials

_DEPLOYED = re.compile(r"[a-z0-9]+\.execute-api\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?")


def signature_for(url: str) -> httpx.Auth | None:
    """Give what signs calls to this base URL; None where it is no deployed API's.

    The credentials are those that the AWS SDK finds. Raises CommandError if it finds none.
    """
    deployed = _DEPLOYED.fullmatch(httpx.URL(url).host)
    if deployed is None:
        return None
    import boto3  # noqa: PLC0415 - takes a fifth of a second, which calls to a local API need not wait

    credentials = boto3.Session().get_credentials()
    if credentials is None:
        raise CommandError(f"{url} takes signed calls only, and no AWS credentials were found (see AWS_PROFILE).")
    return Signature(credentials, deployed["region"])


class Signature(httpx.Auth):
    """Signs each request with AWS credentials."""

    requires_request_body = True

    def __init__(self, credentials: Credentials, region: str) -> None:
        self._credentials = credentials
        self._region = region

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        """Add the signature's headers."""
        from botocore.auth import SigV4Auth  # noqa: PLC0415 - as above
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415

        kept = {name: request.headers[name] for name in ("host", "content-type") if name in request.headers}
        signed = AWSRequest(request.method, str(request.url), data=request.content, headers=kept)
        SigV4Auth(self._credentials, "execute-api", self._region).add_auth(signed)
        request.headers.update({name: str(value) for name, value in signed.headers.items()})
        yield request
