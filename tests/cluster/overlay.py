"""The overlay for another endpoint than AWS', filled in: the names of a stack, and each role's credentials."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

from tests.cluster.network import NODE
from tests.infra.kubernetes.manifests import BASE, FOLDER
from tests.infra.kubernetes.manifests import settings as read_settings
from tests.support.stack import ROLES, Stack

if TYPE_CHECKING:
    from pathlib import Path

OVERLAY: Final = FOLDER / "overlays" / "localstack"
DEPLOYMENTS: Final = tuple(f"tasklane-{role}" for role in ROLES)
NAMESPACE: Final = "tasklane-local"
BRISK: Final = {"TASKLANE_SWEEP_SECONDS": "1", "TASKLANE_RECOVERY_SECONDS": "5"}
"""So that nobody waits for minutes until a killed worker's task goes on."""
CREDENTIALS: Final = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
SETTINGS: Final = {*read_settings(BASE / "settings.env"), "AWS_ENDPOINT_URL", "TASKLANE_ALLOW_LOOPBACK"}
CONTAINER: Final = "/spec/template/spec/containers/0"
SLEEP: Final = ["python", "-c", "import time; time.sleep(5)"]
OLDER: Final = [
    {
        "target": {"kind": "PodDisruptionBudget"},
        "patch": json.dumps([{"op": "replace", "path": "/apiVersion", "value": "policy/v1beta1"}]),
    },
    {
        "target": {"kind": "Deployment", "name": "tasklane-api"},
        "patch": json.dumps(
            [{"op": "replace", "path": f"{CONTAINER}/lifecycle/preStop", "value": {"exec": {"command": SLEEP}}}]
        ),
    },
]
"""What Kubernetes 1.20 says in other words: it has no policy/v1 yet, and waits only by a command."""


def write(folder: Path, stack: Stack) -> None:
    """Write a kustomization that only says where the stack is."""
    environments = {role: _seen_by_pods(stack.environment(role)) for role in ROLES}
    settings = {name: one[name] for one in environments.values() for name in SETTINGS if name in one}
    described = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": NAMESPACE,
        "resources": [os.path.relpath(OVERLAY, folder)],
        "configMapGenerator": [_generated("tasklane", settings | BRISK) | {"behavior": "merge"}],
        "secretGenerator": [
            _generated(f"tasklane-credentials-{role}", {name: environments[role][name] for name in CREDENTIALS})
            for role in ROLES
        ],
        "patches": [*map(_credentials, ROLES), *OLDER],
    }
    (folder / "kustomization.yaml").write_text(json.dumps(described))


def change(folder: Path, below: Path, **settings: str) -> None:
    """Write a kustomization that is the one ``below`` with other settings."""
    described = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(below, folder)],
        "configMapGenerator": [_generated("tasklane", settings) | {"behavior": "merge"}],
    }
    (folder / "kustomization.yaml").write_text(json.dumps(described))


def _seen_by_pods(environment: dict[str, str]) -> dict[str, str]:
    return {name: value.replace("127.0.0.1", NODE) for name, value in environment.items()}


def _generated(name: str, content: dict[str, str]) -> dict[str, Any]:
    return {"name": name, "namespace": NAMESPACE, "literals": [f"{key}={value}" for key, value in content.items()]}


def _credentials(role: str) -> dict[str, Any]:
    where = f"{CONTAINER}/envFrom/1/secretRef/name"
    operations = [{"op": "replace", "path": where, "value": f"tasklane-credentials-{role}"}]
    return {"target": {"kind": "Deployment", "name": f"tasklane-{role}"}, "patch": json.dumps(operations)}
