"""``send_email``: sends a mail through the installation's mail service."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tasklane.context import TaskContext
from tasklane.registry import task
from tasklane.retry import RetryPolicy


def _one_line(value: str) -> str:
    if not all(character.isprintable() for character in value):
        raise ValueError("Must be one line, without control characters.")
    return value


class EmailPayload(BaseModel):
    """What to send to whom."""

    model_config = ConfigDict(extra="forbid")

    to: str = Field(
        max_length=320,
        pattern=r"^[!#-'*+\-./0-9=?A-Z^_`a-z{|}~]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$",
        description="One address, without a name.",
        examples=["ada@example.com"],
    )
    subject: Annotated[str, AfterValidator(_one_line)] = Field(max_length=998, examples=["Your order"])
    body: str = Field(description="Plain text.", examples=["It is on its way."])


class EmailResult(BaseModel):
    """That it was sent."""

    message_id: str = Field(description="The mail service's name for it.")


@task("send_email", retry=RetryPolicy(max_attempts=5, base_seconds=10))
def send_email(payload: EmailPayload, context: TaskContext) -> EmailResult:
    """Send a mail in plain text; what the mail service refuses for good is not tried again."""
    return EmailResult(message_id=context.send_mail(payload.to, payload.subject, payload.body))
