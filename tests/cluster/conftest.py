"""A cluster of one machine, and an installation on it, applied as docs/containers.md shows it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.cluster import build, overlay
from tests.cluster.control_plane import a_control_plane
from tests.cluster.installation import Installation
from tests.cluster.network import a_network, let_pods_reach
from tests.cluster.node import SANDBOX, Node, a_node
from tests.support import base_image
from tests.support import image as images
from tests.support.docker import a_docker
from tests.support.stack import a_stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.kubectl import Kubectl

TAG = "tasklane:local"
"""What the overlay calls the image."""
HOLD = "ENTRYPOINT " + '["python", "-c", "import signal; signal.sigwait({signal.SIGTERM, signal.SIGINT})"]'


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/cluster/" in item.nodeid:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.engine)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Its API, and the machine below it."""

    kubectl: Kubectl
    node: Node


@pytest.fixture(scope="session")
def programs() -> Path:
    return build.programs()


@pytest.fixture(scope="session")
def archive(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image, and one that holds a pod's network."""
    scratch = tmp_path_factory.mktemp("image")
    with a_docker() as engine:
        engine("tag", images.make(engine, scratch), TAG)
        changes = [f"--change={line}" for line in (base_image.SETTINGS, HOLD)]
        engine("import", *changes, scratch / "base.tar", SANDBOX)
        engine("save", "--output", scratch / "images.tar", TAG, SANDBOX)
    return scratch / "images.tar"


@pytest.fixture(scope="session")
def cluster(programs: Path, archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Processes for as long as the tests take, in a network of their own that the tests are then in, too."""
    with ExitStack() as context:
        context.enter_context(a_network())
        plane = context.enter_context(a_control_plane(tmp_path_factory.mktemp("cluster"), programs))
        yield Cluster(kubectl=plane.kubectl, node=context.enter_context(a_node(plane, archive)))


@pytest.fixture(scope="session")
def installation(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Every role of the overlay, on a stack of its own."""
    with ExitStack() as context:
        stack = context.enter_context(a_stack(tmp_path_factory.mktemp("stack")))
        let_pods_reach(int(stack.target.endpoint.rpartition(":")[2]))
        cluster.kubectl("create", "namespace", overlay.NAMESPACE)
        ours = cluster.kubectl.within(overlay.NAMESPACE)
        folder = tmp_path_factory.mktemp("overlay")
        overlay.write(folder, stack)
        ours("apply", "--kustomize", folder)
        ours.wait_until_rolled_out(*overlay.DEPLOYMENTS)
        address = ours.get("service", "tasklane-api")["spec"]["clusterIP"]
        # No connection stays: it would stay with one pod.
        client = httpx.Client(
            base_url=f"http://{address}", headers={"Connection": "close"}, timeout=30, trust_env=False
        )
        context.enter_context(client)
        yield Installation(kubectl=ours, node=cluster.node, client=client, overlay=folder)
