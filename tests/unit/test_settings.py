"""Settings: each missing or wrong variable is named, and nothing else is read."""

import pytest

from tasklane.callback import DEFAULT_TERMS, CallbackTerms
from tasklane.errors import ConfigurationError
from tasklane.settings import read_settings

GOOD = {
    "TASKLANE_STAGE": "prod",
    "TASKLANE_TASKS_TABLE": "tasks",
    "TASKLANE_CONTROL_TABLE": "control",
    "TASKLANE_BUCKET": "documents",
    "TASKLANE_LANE_URLS": "https://q/1, https://q/2,https://q/3,https://q/4,https://q/5",
    "TASKLANE_CALLBACK_QUEUE_URL": "https://q/callbacks",
    "TASKLANE_DEAD_LETTER_URLS": "https://d/1,https://d/2,https://d/3,https://d/4,https://d/5",
    "TASKLANE_CALLBACK_DEAD_LETTER_URL": "https://d/callbacks",
    "TASKLANE_WEBHOOK_SECRETS": "/tasklane/secrets",
    "TASKLANE_TENANT_WEBHOOK_SECRETS": "/tasklane/tenants",
    "TASKLANE_CALLBACK_GIVE_UP_ON_4XX": "true",
    "TASKLANE_RESULT_URL_SECONDS": "90",
    "TASKLANE_ALLOW_LOOPBACK": "true",
    "TASKLANE_RECOVERY_SECONDS": "90",
    "TASKLANE_RETENTION_DAYS": "2",
    "TASKLANE_TRACING": "true",
}
REQUIRED = (
    "TASKLANE_TASKS_TABLE",
    "TASKLANE_CONTROL_TABLE",
    "TASKLANE_BUCKET",
    "TASKLANE_LANE_URLS",
    "TASKLANE_CALLBACK_QUEUE_URL",
)


def test_every_variable_is_read() -> None:
    settings = read_settings({**GOOD, "PATH": "/bin", "TASKLANE_OF_A_LATER_VERSION": "1"})

    assert (settings.stage, settings.tasks_table, settings.control_table) == ("prod", "tasks", "control")
    assert (settings.bucket, settings.callback_queue_url) == ("documents", "https://q/callbacks")
    assert settings.lane_urls == {lane: f"https://q/{lane}" for lane in range(1, 6)}
    assert settings.dead_letter_urls == {lane: f"https://d/{lane}" for lane in range(1, 6)}
    assert settings.callback_dead_letter_url == "https://d/callbacks"
    assert (settings.webhook_secrets, settings.tenant_webhook_secrets) == ("/tasklane/secrets", "/tasklane/tenants")
    assert settings.callback_terms == CallbackTerms(give_up_on_4xx=True, result_url_seconds=90)
    assert (settings.allow_loopback, settings.tracing) == (True, True)
    assert (settings.timing.recovery_ms, settings.timing.retention_seconds) == (90_000, 172_800)


def test_the_rest_has_defaults_that_are_safe() -> None:
    settings = read_settings({name: GOOD[name] for name in REQUIRED})

    assert (settings.allow_loopback, settings.tracing, settings.stage) == (False, False, "local")
    assert (settings.timing.recovery_ms, settings.timing.retention_seconds) == (180_000, 30 * 86_400)
    assert settings.callback_terms == DEFAULT_TERMS
    assert read_settings({**GOOD, "TASKLANE_ALLOW_LOOPBACK": ""}).allow_loopback is False


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_variable_is_named(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name) as caught:
        read_settings({**GOOD, name: ""})
    assert [other for other in GOOD if other != name and other in str(caught.value)] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TASKLANE_LANE_URLS", "https://q/1,https://q/2"),
        ("TASKLANE_LANE_URLS", "a,b,c,d,e,f"),
        ("TASKLANE_LANE_URLS", "a,b,,d,e"),
        ("TASKLANE_DEAD_LETTER_URLS", "https://d/1"),
        ("TASKLANE_ALLOW_LOOPBACK", "perhaps"),
        ("TASKLANE_TRACING", "2"),
        ("TASKLANE_RECOVERY_SECONDS", "0"),
        ("TASKLANE_RECOVERY_SECONDS", "soon"),
        ("TASKLANE_RETENTION_DAYS", "-1"),
        ("TASKLANE_RETENTION_DAYS", "1.5"),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        read_settings({**GOOD, name: value})


def test_everything_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_settings({"TASKLANE_RECOVERY_SECONDS": "soon"})
    assert all(name in str(caught.value) for name in (*REQUIRED, "TASKLANE_RECOVERY_SECONDS"))


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)

    assert read_settings().tasks_table == "tasks"
