"""Signatures of callbacks, checked by the specification's own library."""

import base64
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tasklane.errors import ConfigurationError
from tasklane.signature import parse_secrets, signed_headers
from tests.support.builders import OLDER_SECRET, SECRET

BODY = '{"type":"task.completed","data":{"text":"ünï 🦊"}}'.encode()


def test_a_receiver_with_the_secret_accepts_the_callback() -> None:
    headers = signed_headers([SECRET], "msg-1", int(time.time()), BODY)

    assert Webhook(SECRET).verify(BODY, dict(headers)) == {"type": "task.completed", "data": {"text": "ünï 🦊"}}
    assert headers["webhook-id"] == "msg-1"


def test_while_secrets_rotate_receivers_with_either_accept_it() -> None:
    headers = dict(signed_headers([SECRET, OLDER_SECRET], "msg-1", int(time.time()), BODY))

    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (SECRET, OLDER_SECRET):
        Webhook(secret).verify(BODY, headers)


@pytest.mark.parametrize("change", ["body", "id", "timestamp", "secret"])
def test_a_receiver_refuses_what_was_not_signed(change: str) -> None:
    headers = dict(signed_headers([SECRET], "msg-1", int(time.time()), BODY))
    headers |= {"webhook-id": "msg-2"} if change == "id" else {}
    headers |= {"webhook-timestamp": str(int(time.time()) + 1)} if change == "timestamp" else {}

    with pytest.raises(WebhookVerificationError):
        Webhook(OLDER_SECRET if change == "secret" else SECRET).verify(
            BODY + b" " if change == "body" else BODY, headers
        )


def test_the_signature_is_the_one_of_the_specification() -> None:
    # The example of https://github.com/standard-webhooks/standard-webhooks, "Verifying signatures".
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

    headers = signed_headers([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_one_or_two_secrets_are_read_newest_first() -> None:
    assert parse_secrets(f"  {SECRET}\n") == (SECRET,)
    assert parse_secrets(f"{SECRET}\n{OLDER_SECRET}") == (SECRET, OLDER_SECRET)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no signing secret"),
        (" \n\t", "no signing secret"),
        (SECRET.removeprefix("whsec_"), "starts with whsec_"),
        ("whsec_", "at least 24 bytes"),
        ("whsec_" + base64.b64encode(b"x" * 23).decode(), "at least 24 bytes"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaL!Sw", "base64"),
        ("whsec_üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü", "base64"),
        (f"{SECRET} plain", "starts with whsec_"),
    ],
)
def test_what_is_no_secret_is_a_configuration_error_that_does_not_tell_it(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        parse_secrets(text)
    assert not text.strip() or text.strip() not in str(caught.value)


def test_a_callback_is_not_signed_with_what_is_no_secret() -> None:
    with pytest.raises(ConfigurationError):
        signed_headers(["plain"], "msg-1", 1, BODY)
