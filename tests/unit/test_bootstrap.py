"""The composition root: what is given is used, what is not is made on AWS, and only when it is asked for."""

import boto3
import pytest

from tasklane.adapters.control import DynamoDbControlStore
from tasklane.adapters.dynamodb import DynamoDbTaskStore
from tasklane.adapters.http import HttpClient
from tasklane.adapters.memory import MemoryTaskStore
from tasklane.adapters.s3 import S3BlobStore
from tasklane.adapters.signing_secrets import StoredSigningSecrets
from tasklane.adapters.sqs import SqsCallbackQueue, SqsMessageSource, SqsQueueDepths, SqsTaskQueue
from tasklane.aws import READ_SECONDS
from tasklane.bootstrap import Services, function_services
from tasklane.clock import SystemClock
from tasklane.errors import ConfigurationError
from tests.support.builders import NOW
from tests.support.installation import SETTINGS, Installation


def test_what_a_test_gives_is_used_throughout(home: Installation) -> None:
    services = home.services

    assert (services.store, services.queue, services.blobs) == (home.store, home.lanes, home.blobs)
    assert (services.source, services.http, services.clock) == (home.queues, home.http, home.clock)
    assert services.clock.now() == NOW
    assert services.submit is services.submit


def test_a_port_that_there_is_not_is_refused() -> None:
    with pytest.raises(TypeError, match="no port named settigns, stroe"):
        Services(SETTINGS, stroe=MemoryTaskStore(), settigns=SETTINGS)


def test_what_is_not_given_is_made_on_aws() -> None:
    services = Services(SETTINGS)

    assert isinstance(services.clock, SystemClock)
    assert isinstance(services.store, DynamoDbTaskStore)
    assert isinstance(services.control, DynamoDbControlStore)
    assert isinstance(services.queue, SqsTaskQueue)
    assert isinstance(services.callback_queue, SqsCallbackQueue)
    assert isinstance(services.source, SqsMessageSource)
    assert isinstance(services.blobs, S3BlobStore)
    assert isinstance(services.secrets, StoredSigningSecrets)
    assert isinstance(services.http, HttpClient)
    assert "echo" in services.registry.types
    for use_case in ("submit", "read", "execute", "deliver_callbacks", "pause", "sweep", "remove_documents"):
        assert getattr(services, use_case) is getattr(services, use_case)


def test_dead_letters_are_reached_where_the_settings_say_where_they_are() -> None:
    urls = {lane: f"https://d/{lane}" for lane in range(1, 6)}
    services = Services(
        SETTINGS.model_copy(update={"dead_letter_urls": urls, "callback_dead_letter_url": "https://d/callbacks"})
    )

    assert isinstance(services.dead_letters, SqsMessageSource)
    assert isinstance(services.depths, SqsQueueDepths)
    assert services.redrive is services.redrive


@pytest.mark.parametrize("part", ["dead_letters", "depths"])
def test_a_function_that_does_not_know_the_dead_letter_queues_says_so(part: str) -> None:
    with pytest.raises(ConfigurationError, match="TASKLANE_DEAD_LETTER_URLS"):
        getattr(Services(SETTINGS), part)


def test_clients_give_up_before_a_lease_does() -> None:
    config = Services(SETTINGS)._client("dynamodb").meta.config

    assert config.read_timeout == READ_SECONDS < 15
    assert config.retries["total_max_attempts"] * (config.read_timeout + config.connect_timeout) < 60
    assert Services(SETTINGS)._client("sqs", read_seconds=30).meta.config.read_timeout > 20, "longer than a long poll"


def test_nothing_is_made_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> object:
        raise AssertionError("a client was made")

    monkeypatch.setattr(boto3, "client", refuse)
    services = Services(SETTINGS, store=MemoryTaskStore())

    assert services.settings is SETTINGS
    assert isinstance(services.store, MemoryTaskStore)
    with pytest.raises(AssertionError, match="a client was made"):
        _ = services.queue


def test_the_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    function_services.cache_clear()
    monkeypatch.delenv("TASKLANE_TASKS_TABLE", raising=False)

    assert function_services() is function_services()
    with pytest.raises(ConfigurationError, match="TASKLANE_TASKS_TABLE"):
        _ = function_services().settings
    function_services.cache_clear()


def test_health_names_what_does_not_answer(home: Installation) -> None:
    assert home.services.check() == {"table": "ok", "lanes": "ok", "callback_queue": "ok"}
    home.store.refuse("check")
    assert home.services.check()["table"] == "the table does not answer"
