"""What can be said of an address before its name is looked up."""

import pytest

from tasklane.addresses import why_never, written_address
from tasklane.errors import InvalidRequest
from tasklane.registry import Registry
from tests.support.installation import SETTINGS, an_installation
from tests.support.payloads import Nothing


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("0xa9fea9fe", "169.254.169.254"),
        ("8.8.8.8", "8.8.8.8"),
        ("::1", "::1"),
        ("::ffff:7f00:1", "::ffff:127.0.0.1"),
    ],
)
def test_an_address_is_read_in_every_spelling(host: str, address: str) -> None:
    assert written_address(host) == address


@pytest.mark.parametrize(
    "host", ["localhost", "example.com", "1.2.3.4.example.com", "", "256.1.1.1", "x" * 300, "a\0b"]
)
def test_a_name_is_no_address(host: str) -> None:
    assert written_address(host) is None


@pytest.mark.parametrize("url", ["https://example.com/", "http://localhost/", "http://8.8.8.8:81/", "http://[::1]:9/"])
def test_what_may_arrive_is_not_refused_before(url: str) -> None:
    assert why_never(url, allow_loopback=True) is None


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com:0/", "Nobody listens at port 0."),
        ("http://[::1]:0/", "Nobody listens at port 0."),
        ("http://10.0.0.1/", "10.0.0.1 is not a public address."),
        ("http://[fe80::1]/", "fe80::1 is not a public address."),
        ("http://example.com:99999/", "Not a URL"),
    ],
)
def test_what_can_never_arrive_is_said_at_once(url: str, why: str) -> None:
    assert (why_never(url, allow_loopback=True) or "").startswith(why)


def test_loopback_is_for_an_installation_that_says_so(registry: Registry) -> None:
    registry.task("echo")(echo)
    strict = an_installation(registry=registry)
    local = an_installation(registry=registry, settings=SETTINGS.model_copy(update={"allow_loopback": True}))

    with pytest.raises(InvalidRequest, match="could never arrive"):
        strict.submit(callback_url="http://127.0.0.1:8000/")
    assert local.submit(callback_url="http://127.0.0.1:8000/").callback is not None
    assert strict.submit(callback_url="http://localhost:8000/").callback is not None, "looked up when it is sent"
    with pytest.raises(InvalidRequest, match="could never arrive"):
        local.submit(callback_url="http://10.0.0.1/")


def echo(payload: Nothing) -> None:
    """Nothing."""
