"""The one machine of the cluster: containerd and the kubelet, which run pods, and the proxy of the Services.

Containers outlive what started them, and a kubelet writes to folders that it cannot be told. So both are in namespaces
of processes and mounts of their own: when the first process in there ends, all do, and no mount is left.
"""

from __future__ import annotations

import json
import shlex
import signal
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.cluster.control_plane import NODE_NAME
from tests.cluster.network import BRIDGE, NODE, PODS, run
from tests.cluster.processes import a_process, flags
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.control_plane import ControlPlane

SANDBOX: Final = "docker.io/library/pause:latest"
"""The image that holds a pod's network."""
CGROUPS: Final = Path("/sys/fs/cgroup")
TUNABLES: Final = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
"""What a kubelet sets for the whole machine (setupKernelTunables)."""
OF_ITS_OWN: Final = ("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
CONTAINERD: Final = """\
version = 2
root = "{folder}/containerd"
state = "{folder}/containerd-state"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
address = "{folder}/containerd.socket"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{sandbox}"
restrict_oom_score_adj = true # a test may not be allowed to spare anybody
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{folder}/cni"
"""
MACHINE: Final = """\
for folder in /var/lib /var/log /run; do mount -t tmpfs none $folder; done
containerd --config containerd.toml > containerd.log 2>&1 &
until ctr --address containerd.socket version; do sleep 0.1; done
for archive in {archives}; do ctr --address containerd.socket --namespace k8s.io images import $archive; done
{kubelet} > kubelet.log 2>&1 &
wait
"""


class Node:
    """The machine, beside Kubernetes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def kill(self, container: str) -> None:
        """Kill the first process of a container, as the kernel does when memory is short."""
        engine = ["--address", str(self._folder / "containerd.socket"), "--namespace", "k8s.io"]
        run("ctr", *engine, "tasks", "kill", "--signal", "SIGKILL", container.removeprefix("containerd://"))


@contextmanager
def a_node(plane: ControlPlane, *archives: Path) -> Iterator[Node]:
    """Start it with these images and wait until pods can be put on it."""
    folder = plane.folder
    (folder / "containerd.toml").write_text(CONTAINERD.format(folder=folder, sandbox=SANDBOX))
    _write_network(folder / "cni")
    script = MACHINE.format(archives=shlex.join(map(str, archives)), kubelet=shlex.join(map(str, _kubelet(plane))))
    with ExitStack() as stack:
        stack.enter_context(_tunables_kept())
        stack.callback(lambda: wait_for(_no_cgroups, "the pods' cgroups are gone"))
        command = [*OF_ITS_OWN, "sh", "-e", "-c", script]
        machine = stack.enter_context(a_process(folder, "machine", command, end=signal.SIGKILL))
        stack.enter_context(a_process(folder, "proxy", _proxy(plane)))

        def is_ready() -> bool:
            assert machine.poll() is None, (folder / "machine.log").read_text()[-3000:]
            nodes = plane.kubectl.get("nodes")["items"]
            conditions = [one for node in nodes for one in node["status"]["conditions"]]
            return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

        wait_for(is_ready, "the node is ready", seconds=180)
        yield Node(folder)


def _kubelet(plane: ControlPlane) -> list[str | Path]:
    return [
        plane.programs / "kubelet",
        *flags(
            kubeconfig=plane.config("kubelet"),
            hostname_override=NODE_NAME,
            node_ip=NODE,
            address=NODE,
            root_dir=plane.folder / "kubelet",
            cert_dir=plane.folder / "kubelet-certificates",
            container_runtime="remote",
            container_runtime_endpoint=f"unix://{plane.folder}/containerd.socket",
            cgroup_driver="cgroupfs",
            pod_infra_container_image=SANDBOX,
            resolv_conf="/dev/null",
            anonymous_auth="true",  # in a network where nobody else is
            authorization_mode="AlwaysAllow",
            fail_swap_on="false",
            oom_score_adj=0,
            eviction_hard="memory.available<1Mi",
            image_gc_high_threshold=100,
        ),
    ]


def _proxy(plane: ControlPlane) -> list[str | Path]:
    return [
        plane.programs / "kube-proxy",
        *flags(
            kubeconfig=plane.config("proxy"),
            hostname_override=NODE_NAME,
            proxy_mode="iptables",
            cluster_cidr=PODS,
            bind_address="127.0.0.1",
            oom_score_adj=0,
            conntrack_max_per_core=0,  # the machine's own limits stay
            conntrack_tcp_timeout_established=0,
            conntrack_tcp_timeout_close_wait=0,
        ),
    ]


def _write_network(folder: Path) -> None:
    folder.mkdir()
    described = {
        "cniVersion": "0.3.1",
        "name": "pods",
        "type": "bridge",
        "bridge": BRIDGE,
        "isDefaultGateway": True,
        "hairpinMode": True,
        "ipam": {"type": "host-local", "subnet": PODS, "gateway": NODE, "dataDir": str(folder.parent / "addresses")},
    }
    (folder / "pods.conf").write_text(json.dumps(described))


@contextmanager
def _tunables_kept() -> Iterator[None]:
    places = [Path("/proc/sys", name) for name in TUNABLES]
    before = {place: place.read_text() for place in places if place.exists()}
    try:
        yield
    finally:
        for place, value in before.items():
            place.write_text(value)


def _no_cgroups() -> bool:
    """Remove those of processes that are gone; whether none is left."""
    for hierarchy in CGROUPS.iterdir():
        folders = [path for path in (hierarchy / "kubepods").rglob("*") if path.is_dir()]
        for folder in [*sorted(folders, reverse=True), hierarchy / "kubepods"]:
            if folder.is_dir():
                try:
                    folder.rmdir()
                except OSError:
                    return False
    return True
