"""Mailer: on every adapter the same mail, the same refusals."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from botocore.stub import Stubber
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ses.models import ses_backends

from infra.local.target import REGION
from tasklane.adapters.memory import MemoryMailer
from tasklane.adapters.ses import SesMailer
from tasklane.errors import MailRefused, Unavailable
from tasklane.ports import Mailer
from tests.support.engine import Aws

SENDER = "tasklane@example.com"
Mail = tuple[str, str, str, str]
"""Its id, to, subject, body."""


@dataclass(frozen=True, kw_only=True)
class Mailers:
    """A mailer whose sender is verified, one whose sender is not, and what was sent."""

    verified: Mailer
    unverified: Mailer
    sent: Callable[[], list[Mail]]


def in_memory(_: pytest.FixtureRequest) -> Mailers:
    good, bad = MemoryMailer(), MemoryMailer()
    bad.refusal = MailRefused("not verified")
    return Mailers(
        verified=good, unverified=bad, sent=lambda: [(f"mail-{n}", *mail) for n, mail in enumerate(good.sent, start=1)]
    )


def on_moto(request: pytest.FixtureRequest) -> Mailers:
    aws: Aws = request.getfixturevalue("moto_aws")

    def sent() -> list[Mail]:
        kept = ses_backends[DEFAULT_ACCOUNT_ID][REGION].sent_messages
        return [(one.id, one.destinations["ToAddresses"][0], one.subject, one.body) for one in kept]

    return on(aws, sent)


def on_engine(request: pytest.FixtureRequest) -> Mailers:
    aws: Aws = request.getfixturevalue("engine_aws")

    def sent() -> list[Mail]:
        kept = httpx.get(f"{aws.endpoint}/_ministack/ses/messages", trust_env=False).json()["messages"]
        return [(m["MessageId"], m["To"][0], m["Subject"], m["BodyText"]) for mails in kept.values() for m in mails]

    return on(aws, sent)


def on(aws: Aws, sent: Callable[[], list[Mail]]) -> Mailers:
    ses = aws.client("sesv2")
    ses.create_email_identity(EmailIdentity=SENDER)
    return Mailers(
        verified=SesMailer(lambda: ses, SENDER), unverified=SesMailer(lambda: ses, "nobody@example.org"), sent=sent
    )


@pytest.fixture(scope="module", params=[in_memory, on_moto, pytest.param(on_engine, marks=pytest.mark.engine)])
def mailers(request: pytest.FixtureRequest) -> Mailers:
    return request.param(request)  # type: ignore[no-any-return]


def test_a_mail_is_sent_as_it_was_written(mailers: Mailers) -> None:
    mail = ("ada@example.com", "Grüße 🚀", "One line,\nand “another”.")

    name = mailers.verified.send(*mail)

    assert (name, *mail) in mailers.sent()


def test_a_sender_that_is_not_verified_is_refused_for_good(mailers: Mailers) -> None:
    before = mailers.sent()

    with pytest.raises(MailRefused):
        mailers.unverified.send("ada@example.com", "subject", "body")

    assert mailers.sent() == before


def test_an_installation_without_a_sender_refuses_before_it_asks() -> None:
    with pytest.raises(MailRefused, match="MailSender"):
        SesMailer(never, "").send("ada@example.com", "subject", "body")


def never() -> Any:
    raise AssertionError("no client is needed")


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("TooManyRequestsException", 429, Unavailable),
        ("LimitExceededException", 400, Unavailable),
        ("ThrottlingException", 400, Unavailable),
        ("InternalFailure", 500, Unavailable),
        ("MessageRejected", 400, MailRefused),
        ("MailFromDomainNotVerifiedException", 400, MailRefused),
        ("AccountSuspendedException", 400, MailRefused),
        ("AccessDeniedException", 403, MailRefused),
    ],
)
def test_what_is_about_now_may_be_sent_later_and_the_rest_never(
    moto_aws: Aws, code: str, status: int, error: type[Exception]
) -> None:
    ses = moto_aws.client("sesv2")
    said = "User: arn:aws:sts::000000000000:assumed-role/worker"
    with Stubber(ses) as stub:
        stub.add_client_error("send_email", code, said, http_status_code=status)
        with pytest.raises(error) as raised:
            SesMailer(lambda: ses, SENDER).send("ada@example.com", "subject", "body")
    assert (said in str(raised.value)) == (code != "AccessDeniedException"), "a role is nothing for a task's record"


def test_no_answer_is_no_refusal(moto_aws: Aws) -> None:
    ses = Aws(endpoint="http://127.0.0.1:9").client("sesv2")

    with pytest.raises(Unavailable):
        SesMailer(lambda: ses, SENDER).send("ada@example.com", "subject", "body")
    ses.close()
