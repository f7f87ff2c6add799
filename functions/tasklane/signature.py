"""Signatures of callbacks, as Standard Webhooks defines them.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#signature-scheme
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence

from tasklane.errors import ConfigurationError

SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix that marks a secret, not one


def signed_headers(secrets: Sequence[str], message_id: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """The three headers for ``body``, with one signature per live secret; ``timestamp`` is in Unix seconds.

    Raises ConfigurationError where a secret is none.
    """
    content = f"{message_id}.{timestamp}.".encode() + body
    signatures = [base64.b64encode(hmac.digest(_key(s), content, hashlib.sha256)).decode() for s in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def parse_secrets(text: str) -> tuple[str, ...]:
    """The whitespace-separated ``whsec_`` secrets in ``text``, newest first. Raises ConfigurationError."""
    secrets = tuple(text.split())
    if not secrets:
        raise ConfigurationError("there is no signing secret for callbacks")
    for secret in secrets:
        _key(secret)
    return secrets


def _key(secret: str) -> bytes:
    if not secret.startswith(SECRET_PREFIX):
        raise ConfigurationError("a signing secret starts with whsec_ and goes on in base64")
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError as exc:  # not ASCII, or no base64
        raise ConfigurationError("a signing secret starts with whsec_ and goes on in base64") from exc
    if len(key) < 24:  # the specification asks for 24 to 64 bytes
        raise ConfigurationError("a signing secret has at least 24 bytes (32 characters of base64)")
    return key
