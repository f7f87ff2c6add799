"""What makes a cluster of machines: etcd, the API server, the controllers and the scheduler."""

from __future__ import annotations

import json
import secrets
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.cluster.kubectl import Kubectl
from tests.cluster.network import NODE, SERVICES
from tests.cluster.processes import a_process, flags
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ETCD: Final = "http://127.0.0.1:2379"
PORT: Final = 6443
SERVER: Final = f"https://127.0.0.1:{PORT}"
NODE_NAME: Final = "node"
USERS: Final = {
    "admin": ("admin", "system:masters"),
    "controllers": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", ""),
    "kubelet": (f"system:node:{NODE_NAME}", "system:nodes"),
}
"""Who asks the API server: a user, and the group that says what he may do; the others' roles come with Kubernetes."""


@dataclass(frozen=True, kw_only=True)
class ControlPlane:
    """Its folder has the configuration of each user, and what every process printed."""

    folder: Path
    programs: Path

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl(config=self.config("admin"))

    def config(self, user: str) -> Path:
        return self.folder / f"{user}.kubeconfig"


@contextmanager
def a_control_plane(folder: Path, programs: Path) -> Iterator[ControlPlane]:
    """Start it, in a network where its ports are free."""
    plane = ControlPlane(folder=folder, programs=programs)
    _write_tokens(plane)
    key = folder / "service-accounts.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    with ExitStack() as stack:
        stack.enter_context(a_process(folder, "etcd", _etcd(plane)))
        server = stack.enter_context(a_process(folder, "apiserver", _api_server(plane, key)))

        def is_ready() -> bool:
            assert server.poll() is None, (folder / "apiserver.log").read_text()[-3000:]
            return plane.kubectl("get", "--raw=/readyz", check=False) == "ok"

        wait_for(is_ready, "the API server is ready", seconds=120)
        stack.enter_context(a_process(folder, "controllers", _controllers(plane, key)))
        stack.enter_context(a_process(folder, "scheduler", _scheduler(plane)))
        yield plane


def _write_tokens(plane: ControlPlane) -> None:
    tokens = {user: secrets.token_hex() for user in USERS}
    lines = [f'{tokens[user]},{name},{user},"{group}"' for user, (name, group) in USERS.items()]
    (plane.folder / "tokens.csv").write_text("\n".join(lines))
    certificate = str(plane.folder / "apiserver.crt")  # the API server's own, made when it starts
    for user, token in tokens.items():
        described = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
            "clusters": [{"name": "test", "cluster": {"server": SERVER, "certificate-authority": certificate}}],
            "users": [{"name": user, "user": {"token": token}}],
        }
        plane.config(user).write_text(json.dumps(described))


def _etcd(plane: ControlPlane) -> list[str | Path]:
    return [
        "etcd",
        *flags(
            data_dir=plane.folder / "etcd",
            listen_client_urls=ETCD,
            advertise_client_urls=ETCD,
            listen_peer_urls="http://127.0.0.1:2380",
        ),
    ]


def _api_server(plane: ControlPlane, key: Path) -> list[str | Path]:
    return [
        plane.programs / "kube-apiserver",
        *flags(
            etcd_servers=ETCD,
            bind_address="127.0.0.1",
            secure_port=PORT,
            advertise_address=NODE,
            cert_dir=plane.folder,
            token_auth_file=plane.folder / "tokens.csv",
            authorization_mode="Node,RBAC",
            enable_admission_plugins="NodeRestriction",
            kubelet_preferred_address_types="InternalIP",
            service_cluster_ip_range=SERVICES,
            service_account_issuer="https://kubernetes.default.svc",
            service_account_key_file=key,
            service_account_signing_key_file=key,
        ),
    ]


def _controllers(plane: ControlPlane, key: Path) -> list[str | Path]:
    return [
        plane.programs / "kube-controller-manager",
        *flags(
            kubeconfig=plane.config("controllers"),
            bind_address="127.0.0.1",
            leader_elect="false",
            use_service_account_credentials="true",
            service_account_private_key_file=key,
            service_cluster_ip_range=SERVICES,
        ),
    ]


def _scheduler(plane: ControlPlane) -> list[str | Path]:
    return [
        plane.programs / "kube-scheduler",
        *flags(kubeconfig=plane.config("scheduler"), bind_address="127.0.0.1", leader_elect="false"),
    ]
