"""What everybody promises who knows signing secrets: in memory, in SSM and in Secrets Manager."""

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tasklane.adapters.memory import StaticSigningSecrets
from tasklane.adapters.signing_secrets import MAX_AGE_SECONDS, MAX_STALE_SECONDS, StoredSigningSecrets, place_of
from tasklane.errors import ConfigurationError, Unavailable
from tasklane.ports import SigningSecrets
from tests.support.engine import Aws, unique


def a_secret() -> str:
    return f"whsec_{base64.b64encode(os.urandom(24)).decode()}"


@dataclass(kw_only=True)
class Vault:
    """Where secrets are kept, and who knows them."""

    port: SigningSecrets
    keep: Callable[[str | None, str], None]
    """Keep a text as a tenant's secrets, or (None) as the installation's."""
    now: list[float]

    def of(self, tenant: str) -> Any:
        return self.port.current([tenant])[tenant]


def in_memory() -> Vault:
    tenants: dict[str, tuple[str, ...]] = {}
    port = StaticSigningSecrets(tenants=tenants)

    def keep(tenant: str | None, text: str) -> None:
        if tenant is None:
            port._secrets = tuple(text.split())
        else:
            tenants[tenant] = tuple(text.split())

    return Vault(port=port, keep=keep, now=[0.0])


def in_ssm(aws: Aws) -> Vault:
    root = f"/tasklane/{unique('stage')}"

    def keep(tenant: str | None, text: str) -> None:
        name = f"{root}/webhook-secrets" if tenant is None else place_of(f"{root}/tenants", tenant)
        aws.ssm.put_parameter(Name=name, Value=text, Type="SecureString", Overwrite=True)

    return stored(aws, f"{root}/webhook-secrets", f"{root}/tenants", keep)


def in_secrets_manager(aws: Aws) -> Vault:
    root, client = f"tasklane/{unique('stage')}", aws.secrets_manager

    def put(name: str, text: str) -> str:
        try:
            return str(client.create_secret(Name=name, SecretString=text)["ARN"])
        except client.exceptions.ResourceExistsException:
            return str(client.put_secret_value(SecretId=name, SecretString=text)["ARN"])

    whole = put(f"{root}/webhook-secrets", a_secret())
    tenants = whole.replace("/webhook-secrets", "/tenants")[:-7]

    def keep(tenant: str | None, text: str) -> None:
        place = f"{root}/webhook-secrets" if tenant is None else place_of(f"{root}/tenants", tenant)
        put(place, text)

    return stored(aws, whole, tenants, keep)


def stored(aws: Aws, installation: str, tenants: str, keep: Callable[[str | None, str], None]) -> Vault:
    now = [1000.0]
    port = StoredSigningSecrets(
        ssm=lambda: aws.ssm,
        secrets_manager=lambda: aws.secrets_manager,
        installation=installation,
        tenants=tenants,
        clock=lambda: now[0],
    )
    return Vault(port=port, keep=keep, now=now)


MAKERS = {"ssm": in_ssm, "secretsmanager": in_secrets_manager}


def engine_marks(aws: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.engine] if aws == "engine_aws" else []


STORED = [
    pytest.param((aws, kept), id=f"{aws}-{kept}", marks=engine_marks(aws))
    for aws in ("moto_aws", "engine_aws")
    for kept in MAKERS
]


@pytest.fixture(params=[pytest.param(None, id="memory"), *STORED])
def vault(request: pytest.FixtureRequest) -> Vault:
    if request.param is None:
        return in_memory()
    aws, kept = request.param
    return MAKERS[kept](request.getfixturevalue(aws))


@pytest.fixture(params=STORED)
def stored_vault(request: pytest.FixtureRequest) -> Vault:
    aws, kept = request.param
    return MAKERS[kept](request.getfixturevalue(aws))


def test_a_tenant_signs_with_its_own_secrets_and_the_others_with_the_installations(vault: Vault) -> None:
    installation, own = a_secret(), [a_secret(), a_secret()]
    vault.keep(None, installation)
    vault.keep("acme", "\n".join(own))

    found = vault.port.current(["acme", "default", "other"])

    assert {tenant: list(found[tenant]) for tenant in found} == {  # type: ignore[arg-type]
        "acme": own,
        "default": [installation],
        "other": [installation],
    }
    assert vault.port.current([]) == {}


@pytest.mark.parametrize(
    "tenant",
    [
        "acme_corp", "a.b-c", "team-brazil", "x" * 128, "-", "_",
        ".", "..", "../acme", "acme/webhook-secrets", "a/b", "/",
        "auth0|4711", "me@example.com", "a:1", "*", "?", "%2e",
        "by-sha256", "\\",
    ],
)  # fmt: skip
def test_every_name_of_a_tenant_has_a_place_of_its_own(vault: Vault, tenant: str) -> None:
    vault.keep(None, a_secret())
    own, others = a_secret(), a_secret()
    vault.keep("acme", others)

    vault.keep(tenant, own)

    assert list(vault.of(tenant)) == [own]
    assert list(vault.of("acme")) == [others]


def test_no_name_leads_out_of_the_tenants_own_places() -> None:
    names = [
        "a",
        "A",
        "a/b",
        "..",
        ".",
        "../..",
        "b/webhook-secrets",
        "by-sha256",
        "by-sha256/a",
        "*",
        "a:1",
        "a@b",
        "",
    ]

    places = [place_of("/root", name) for name in names]

    assert len(set(places)) == len(names)
    for place in places:
        parts = place.removeprefix("/root/").split("/")
        assert place.startswith("/root/")
        assert parts[-1] == "webhook-secrets"
        assert len(parts) == (3 if parts[0] == "by-sha256" and len(parts) == 3 else 2)
        assert not {"", ".", "..", "*"} & set(parts)


def test_a_rotation_is_seen_within_a_minute_and_not_asked_for_before(stored_vault: Vault) -> None:
    vault = stored_vault
    first, second = a_secret(), a_secret()
    vault.keep(None, first)
    assert [list(vault.of("acme")), list(vault.of("other"))] == [[first], [first]]

    vault.keep(None, f"{second} {first}")
    vault.keep("acme", second)
    assert [list(vault.of("acme")), list(vault.of("other"))] == [[first], [first]]

    vault.now[0] += MAX_AGE_SECONDS
    assert [list(vault.of("acme")), list(vault.of("other"))] == [[second], [second, first]]


def test_secrets_that_make_no_sense_are_not_replaced_by_others(stored_vault: Vault) -> None:
    stored_vault.keep(None, a_secret())
    stored_vault.keep("acme", "whsec_short")

    found = stored_vault.port.current(["acme", "other"])

    assert isinstance(found["acme"], ConfigurationError)
    assert "acme/webhook-secrets" in str(found["acme"])
    assert "whsec_short" not in str(found["acme"]), "a secret never shows in a log"
    assert len(found["other"]) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("place", ["", "/tasklane/nothing/there"])
def test_an_installation_without_secrets_says_so(aws: Aws, place: str) -> None:
    vault = stored(aws, place, "", lambda tenant, text: None)

    assert isinstance(vault.of("acme"), ConfigurationError)


def test_more_tenants_than_one_request_takes_are_all_found(stored_vault: Vault) -> None:
    installation, own = a_secret(), {f"tenant-{n}": a_secret() for n in range(12)}
    stored_vault.keep(None, installation)
    for tenant, secret in own.items():
        stored_vault.keep(tenant, secret)

    found = stored_vault.port.current([*own, "none"])

    assert {tenant: list(found[tenant]) for tenant in own} == {tenant: [secret] for tenant, secret in own.items()}  # type: ignore[arg-type]
    assert found["none"] == (installation,)


class Refusing:
    """A client that does not answer."""

    def __init__(self) -> None:
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        def refuse(**arguments: Any) -> Any:
            self.asked += 1
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, name)

        return refuse


def test_what_was_read_last_serves_while_it_cannot_be_read_again(aws: Aws) -> None:
    vault, client = in_ssm(aws), Refusing()
    installation, own = a_secret(), a_secret()
    vault.keep(None, installation)
    vault.keep("acme", own)
    assert (vault.of("acme"), vault.of("other")) == ((own,), (installation,))
    port: Any = vault.port
    port._ssm = lambda: client

    vault.now[0] += MAX_STALE_SECONDS
    assert (vault.of("acme"), vault.of("other")) == ((own,), (installation,))
    unknown = vault.of("new")
    assert isinstance(unknown, Unavailable), "whether it has its own is not known"
    assert "Rate exceeded" in str(unknown)
    assert client.asked == 3

    vault.now[0] += 1
    assert isinstance(vault.of("acme"), Unavailable)


def test_one_store_that_does_not_answer_leaves_the_others_secrets(aws: Aws) -> None:
    """The installation's in SSM, the tenants' own in Secrets Manager."""
    vault = in_secrets_manager(aws)
    own = a_secret()
    vault.keep("acme", own)
    port: Any = vault.port
    port._installation, port._ssm = "/tasklane/webhook-secrets", Refusing

    assert vault.of("acme") == (own,)
    assert isinstance(vault.of("other"), Unavailable)
