"""A network of the test's own, with no way out of it: its bridge, its addresses and its iptables rules end with it."""

from __future__ import annotations

import ctypes
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

BRIDGE: Final = "tasklane0"
NODE: Final = "10.244.0.1"
"""The node's address, which is the pods' gateway."""
PODS: Final = "10.244.0.0/24"
SERVICES: Final = "10.96.0.0/16"
HERE: Final = Path("/proc/thread-self/ns/net")
CLONE_NEWNET: Final = 0x40000000


@contextmanager
def a_network() -> Iterator[None]:
    """Move this thread, and what it starts, into a new network; at the end it is back where it was."""
    libc = ctypes.CDLL(None, use_errno=True)
    with HERE.open("rb") as before:
        if libc.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "no network namespace")
        try:
            for command in (
                "link set lo up",
                f"link add {BRIDGE} type bridge",
                f"address add {NODE}/24 dev {BRIDGE}",
                f"link set {BRIDGE} up",
                f"route add {SERVICES} dev {BRIDGE}",  # the proxy's rules lead on; without a route nobody asks them
            ):
                run("ip", *command.split())
            set_here("ipv4/ip_forward")
            set_here("bridge/bridge-nf-call-iptables")  # or what a Service answers would go past its rules
            yield
        finally:
            if libc.setns(before.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "no way back")


def let_pods_reach(port: int) -> None:
    """What listens on this port of 127.0.0.1 is reached by pods at the node's address."""
    set_here(f"ipv4/conf/{BRIDGE}/route_localnet")
    to = f"--destination {NODE} --protocol tcp --dport {port} --jump DNAT --to-destination 127.0.0.1:{port}"
    run("iptables", "--table", "nat", "--append", "PREROUTING", *to.split())


def set_here(name: str) -> None:
    Path("/proc/sys/net", name).write_text("1")


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
