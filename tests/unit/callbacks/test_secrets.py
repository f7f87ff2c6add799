"""A callback is signed with its tenant's secrets; without them it waits."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from tasklane.adapters.memory import StaticSigningSecrets
from tasklane.errors import ConfigurationError, Unavailable
from tasklane.message import CallbackMessage
from tasklane.registry import Registry
from tests.support.builders import NOW, OLDER_SECRET, SECRET
from tests.support.installation import Installation, an_installation
from tests.unit.callbacks.conftest import OK, NoSecrets, callback, ended

# -- delivered ---------------------------------------------------------------------------------------------------------


def test_the_signature_verifies_with_either_secret_while_they_rotate(registry: Registry) -> None:
    home = an_installation(registry=registry, secrets=(SECRET, OLDER_SECRET))
    ended(home)
    home.deliver()
    ((_, body, headers),) = home.http.posted

    for secret in (SECRET, OLDER_SECRET):
        webhook = Webhook(secret)
        timestamp = datetime.fromtimestamp(NOW / 1000, UTC)
        assert webhook.sign(headers["webhook-id"], timestamp, body.decode()) in headers["webhook-signature"].split()


# -- messages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [Unavailable("throttled"), ConfigurationError("there is no signing secret")])
def test_without_a_secret_nothing_is_posted_and_everything_comes_again(registry: Registry, error: Exception) -> None:
    home = an_installation(registry=registry)
    tasks = [ended(home), ended(home)]
    deliver = home.services.deliver_callbacks
    deliver._secrets = NoSecrets(error)

    assert home.deliver().unhandled == frozenset({0, 1})
    assert home.http.posted == []
    assert [callback(home, task).tries for task in tasks] == [0, 0]
    deliver._secrets = StaticSigningSecrets(SECRET)
    assert home.deliver().delivered == 2


def test_a_tenant_signs_with_its_own_secret_and_waits_for_it_alone(registry: Registry) -> None:
    home = an_installation(registry=registry)
    for tenant in ("acme", "broken", "default"):
        home.submit("echo", tenant=tenant, callback_url=f"https://{tenant}.example.com/")
        home.work()  # one by one, so that their callbacks come in this order
    home.close()
    secrets: dict[str, Any] = {"acme": [OLDER_SECRET, SECRET], "broken": ConfigurationError("no secret")}
    home.services.deliver_callbacks._secrets = StaticSigningSecrets(SECRET, tenants=secrets)

    report = home.deliver()

    assert (report.delivered, report.unhandled) == (2, frozenset({1}))
    signed = {url: headers["webhook-signature"].split() for url, _, headers in home.http.posted}
    assert {url: len(signatures) for url, signatures in signed.items()} == {
        "https://acme.example.com/": 2,
        "https://default.example.com/": 1,
    }
    for url, body, headers in home.http.posted:
        moment = datetime.fromtimestamp(NOW / 1000, UTC)
        one = Webhook(OLDER_SECRET if "acme" in url else SECRET).sign(headers["webhook-id"], moment, body.decode())
        assert signed[url][0] == one


def test_a_doubled_message_needs_no_secret(receiving: Callable[..., Installation]) -> None:
    home = receiving(OK)
    message = CallbackMessage.of(home.task(ended(home)))
    home.deliver()
    home.services.deliver_callbacks._secrets = NoSecrets(Unavailable("throttled"))

    assert home.services.deliver_callbacks([message], lambda: 60.0).unhandled == frozenset()
