"""The keys of a task: its own, and those that its type makes of the payload."""

from typing import Any

import pytest
from pydantic import BaseModel

from tasklane.errors import ConfigurationError, InvalidPayload, InvalidRequest
from tasklane.registry import Registry
from tests.support.installation import Installation
from tests.unit.throttle.conftest import Peak, submitted


class Account(BaseModel):
    account: str = "7"


def test_a_type_makes_keys_of_its_payload(home: Installation, registry: Registry) -> None:
    @registry.task("pay", throttle_keys=["account:{payload.account}", "cluster"])
    def pay(payload: Account) -> None:
        pass

    task = home.submit("pay", {"account": "42"}, throttle_keys=["own", "cluster"])

    assert home.task(task).throttle_keys == ("account:42", "cluster", "own")


@pytest.mark.parametrize("account", ["", "\n", "x" * 300])
def test_a_payload_that_makes_no_key_is_refused(home: Installation, registry: Registry, account: str) -> None:
    @registry.task("pay", throttle_keys=["{payload.account}"])
    def pay(payload: Account) -> None:
        pass

    with pytest.raises(InvalidPayload):
        home.submit("pay", {"account": account})


def test_a_payload_without_the_field_is_refused(home: Installation, registry: Registry) -> None:
    @registry.task("pay", throttle_keys=["{payload.elsewhere}"])
    def pay(payload: Account) -> None:
        pass

    with pytest.raises(InvalidPayload):
        home.submit("pay", {})


class Owned(BaseModel):
    account: str | None = None
    region: str | None = None
    owner: "Owned | None" = None
    tags: dict[str, str | None] = {}


@pytest.mark.parametrize(
    ("payload", "keys"),
    [
        ({}, ["cluster"]),
        ({"account": None}, ["cluster"]),
        ({"account": "None"}, ["account:None", "cluster"]),
        ({"account": "7"}, ["account:7", "cluster"]),
        ({"account": "7", "region": "eu"}, ["account:7", "both:eu-7", "cluster"]),
        ({"region": "eu"}, ["cluster"]),
        ({"owner": {"account": "8"}}, ["cluster", "owner:8"]),
        ({"owner": {"account": None}}, ["cluster"]),
        ({"tags": {"a.b": None}}, ["cluster"]),
        ({"tags": {"a.b": "x"}}, ["cluster", "tag:'x'"]),
    ],
)
def test_a_null_field_makes_no_key(
    home: Installation, registry: Registry, payload: dict[str, Any], keys: list[str]
) -> None:
    templates = ["account:{payload.account}", "both:{payload.region}-{payload.account}", "cluster"]

    @registry.task("pay", throttle_keys=[*templates, "owner:{payload.owner.account}"])
    def pay(payload: Owned) -> None:
        pass

    @registry.task("tagged", throttle_keys=["cluster", "tag:{payload.tags[a.b]!r}"])
    def tagged(payload: Owned) -> None:
        pass

    task = home.submit("tagged" if "tags" in payload else "pay", payload)

    assert home.task(task).throttle_keys == tuple(keys)


def test_too_many_keys_are_refused(home: Installation, peak: Peak) -> None:
    with pytest.raises(InvalidRequest):
        home.submit("work", throttle_keys=[f"k{n}" for n in range(11)])


@pytest.mark.parametrize("keys", ["a", [""], ["{other}"], ["{payload"], [7], ["{payload.__class__}{0}"]])
def test_keys_that_are_none_are_refused_when_the_type_is_registered(registry: Registry, keys: Any) -> None:
    with pytest.raises(ConfigurationError):

        @registry.task("pay", throttle_keys=keys)
        def pay(payload: Account) -> None:
            pass


def test_the_worker_forgets_keys_it_has_not_seen_for_long(
    home: Installation, peak: Peak, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasklane.limiter.MAX_KNOWN", 3)
    for n in range(6):
        submitted(home, 1, [f"k{n}"])
    home.work()
    submitted(home, 1, ["k0", "k7"])
    home.work()

    assert len(peak.order) == 7
