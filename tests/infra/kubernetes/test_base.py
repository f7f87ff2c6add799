"""The manifests say what the code does: roles, variables, ports, times; and let nobody do more than he must."""

from __future__ import annotations

import re
from typing import Any

import pytest

from infra import template
from infra.container.__main__ import ROLES
from infra.container.settings import VARIABLES, read_process_settings
from infra.container.sweeping import SWEEP_SECONDS
from tasklane.settings import PREFIX, Settings, read_settings
from tests.infra.kubernetes.manifests import BASE, FOLDER, OVERLAYS, Manifest, base, of_kind, read, settings
from worker.poller import BATCH_SECONDS

DECIDED_BY_CODE = {"TASKLANE_ALLOW_LOOPBACK", "TASKLANE_TRACING"}
"""For the local run, and for Lambda."""
DEPLOYMENTS = of_kind(base(), "Deployment")


def role_of(deployment: Manifest) -> str:
    return str(deployment["metadata"]["labels"]["app.kubernetes.io/component"])


def container_of(deployment: Manifest) -> dict[str, Any]:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(container)


def variables_of(container: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container["env"]}


@pytest.fixture(params=list(DEPLOYMENTS))
def deployment(request: pytest.FixtureRequest) -> Manifest:
    return DEPLOYMENTS[request.param]


def test_each_role_has_a_deployment() -> None:
    assert {role_of(one) for one in DEPLOYMENTS.values()} == set(ROLES)


def test_every_file_is_used() -> None:
    (kustomization,) = read(BASE / "kustomization.yaml")

    assert {path.name for path in BASE.iterdir()} == {*kustomization["resources"], "kustomization.yaml", "settings.env"}


def test_it_plays_its_role_under_its_own_name(deployment: Manifest) -> None:
    role, pod = role_of(deployment), deployment["spec"]["template"]["spec"]

    assert container_of(deployment)["args"] == [role]
    assert pod["serviceAccountName"] == f"tasklane-{role}"
    assert of_kind(base(), "ServiceAccount")[f"tasklane-{role}"]["automountServiceAccountToken"] is False
    assert pod["automountServiceAccountToken"] is False
    assert (
        deployment["spec"]["selector"]["matchLabels"].items()
        <= deployment["spec"]["template"]["metadata"]["labels"].items()
    )


def test_its_own_variables_are_read_by_the_code(deployment: Manifest) -> None:
    variables = variables_of(container_of(deployment))

    assert variables.keys() <= VARIABLES.keys()
    read_process_settings(variables)


def test_every_setting_of_an_installation_is_there() -> None:
    assert {PREFIX + name.upper() for name in Settings.model_fields} - DECIDED_BY_CODE == {
        name for name in settings(BASE / "settings.env") if name.startswith(PREFIX)
    }
    assert not [value for value in settings(BASE / "settings.env").values() if value], "an overlay's to say"
    assert all(
        one["envFrom"] == [{"configMapRef": {"name": "tasklane"}}] for one in map(container_of, DEPLOYMENTS.values())
    )


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_says_what_the_code_wants_to_know(overlay: str) -> None:
    said = settings(FOLDER / "overlays" / overlay / "installation.env")

    found = read_settings(settings(BASE / "settings.env") | said)

    assert said.keys() - settings(BASE / "settings.env").keys() <= {"AWS_ENDPOINT_URL"}
    assert found.dead_letter_urls
    assert found.callback_dead_letter_url
    assert found.webhook_secrets
    assert said["AWS_REGION"]


def test_it_has_the_time_to_end(deployment: Manifest) -> None:
    container, pod = container_of(deployment), deployment["spec"]["template"]["spec"]
    before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    stop_seconds = read_process_settings(variables_of(container)).stop_seconds

    assert pod["terminationGracePeriodSeconds"] >= before + stop_seconds + 5
    if role_of(deployment) == "worker":
        assert stop_seconds >= BATCH_SECONDS
    if role_of(deployment) == "sweeper":
        assert read_process_settings(variables_of(container)).sweep_seconds == SWEEP_SECONDS


def test_it_is_probed_where_it_answers(deployment: Manifest) -> None:
    container = container_of(deployment)
    (port,) = container["ports"]
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("liveness", "readiness", "startup")}

    assert port["containerPort"] == read_process_settings(variables_of(container)).port
    assert {probe["port"] for probe in probes.values()} == {port["name"]}
    assert probes["liveness"]["path"] == "/health", "an outage of AWS is no reason to start anew"
    asks_deeply = role_of(deployment) != "api"
    assert probes["readiness"]["path"] == ("/health?deep=true" if asks_deeply else "/health")


def test_it_may_do_next_to_nothing(deployment: Manifest) -> None:
    pod, container = deployment["spec"]["template"]["spec"], container_of(deployment)
    dockerfile = (template.ROOT / "infra" / "container" / "Dockerfile").read_text()
    user = re.search(r"^USER (?P<user>\d+):(?P<group>\d+)$", dockerfile, re.MULTILINE)

    assert user
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": int(user["user"]),
        "runAsGroup": int(user["group"]),
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"].keys() == {"memory"}
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}


def test_variables_that_kubernetes_makes_of_services_do_not_reach_it(deployment: Manifest) -> None:
    assert deployment["spec"]["template"]["spec"]["enableServiceLinks"] is False


def test_the_service_and_the_network_lead_to_the_api_alone() -> None:
    (service,) = of_kind(base(), "Service").values()
    policies = of_kind(base(), "NetworkPolicy")

    assert service["spec"]["selector"] == {"app.kubernetes.io/component": "api"}
    assert service["spec"]["ports"][0]["targetPort"] == "http"
    assert "type" not in service["spec"], "inside of the cluster only"
    assert policies["tasklane"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    assert policies["tasklane-api"]["spec"]["podSelector"]["matchLabels"] == service["spec"]["selector"]
    assert [rule["from"] for rule in policies["tasklane-api"]["spec"]["ingress"]]


def test_an_eviction_leaves_some_at_work() -> None:
    for budget in of_kind(base(), "PodDisruptionBudget").values():
        (guarded,) = (
            one
            for one in DEPLOYMENTS.values()
            if one["metadata"]["labels"] == budget["spec"]["selector"]["matchLabels"]
        )
        assert guarded["spec"]["replicas"] > budget["spec"]["maxUnavailable"]
