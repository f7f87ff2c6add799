"""Mail through Amazon SES (SESv2)."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from tasklane.errors import MailRefused, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_sesv2 import SESV2Client

LATER: Final = frozenset(
    {"TooManyRequestsException", "LimitExceededException", "Throttling", "ThrottlingException", "RequestTimeout"}
)
"""Refusals that are about now, not about the mail: the rate or the day's quota."""


class SesMailer:
    """Sends from one address, which must be verified in SES (in its sandbox so must each recipient)."""

    def __init__(self, make_client: Callable[[], "SESV2Client"], sender: str) -> None:
        """``make_client`` is called for the first mail: most workers never send one."""
        self._make_client = make_client
        self._sender = sender
        self._client: SESV2Client | None = None
        self._making = threading.Lock()

    def send(self, to: str, subject: str, body: str) -> str:
        """See Mailer."""
        if not self._sender:
            raise MailRefused("No mail is sent from here: the installation has no sender (parameter MailSender).")
        try:
            answer = self._ses().send_email(
                FromEmailAddress=self._sender,
                Destination={"ToAddresses": [to]},
                Content={
                    "Simple": {
                        "Subject": {"Data": subject, "Charset": "UTF-8"},
                        "Body": {"Text": {"Data": body, "Charset": "UTF-8"}},
                    }
                },
            )
        except ClientError as exc:
            raise _refusal(exc) from exc
        except BotoCoreError as exc:
            raise Unavailable(f"SES did not answer: {exc}") from exc
        return answer["MessageId"]

    def _ses(self) -> "SESV2Client":
        with self._making:
            self._client = self._client or self._make_client()
            return self._client


def _refusal(error: ClientError) -> MailRefused | Unavailable:
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    if code.startswith("AccessDenied"):
        # Its text names the account and the role: nothing for a task's record.
        return MailRefused("The worker may not send mail from the sender's address (parameter MailSender).")
    if code in LATER or status == 429 or status >= 500:
        return Unavailable(f"SES did not take the mail now: {error}")
    return MailRefused(f"SES refused the mail: {error}")
