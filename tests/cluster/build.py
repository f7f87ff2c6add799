"""Gets the source of Kubernetes from Debian and builds it into .cluster, once: ``python -m tests.cluster.build``.

Debian ships the client only; but its source package is all of Kubernetes, with all that it is made of beside it. The
version is the one of Debian 12, the last whose source package is whole.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from infra import template

FOLDER: Final = template.ROOT / ".cluster"
PROGRAMS: Final = FOLDER / "bin"
GOPATH: Final = FOLDER / "go"
SOURCE: Final = GOPATH / "src" / "k8s.io" / "kubernetes"
COMMANDS: Final = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
VERSION: Final = "1.20"
NEEDED: Final = {
    "go": "golang-go",
    "etcd": "etcd-server",
    "dockerd": "docker.io",
    "dpkg-source": "dpkg-dev",
    "ip": "iproute2",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "openssl": "openssl",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
}
"""Programs, and the packages that they come with."""
SUITES: Final = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)"
OPENAPI: Final = "pkg/generated/openapi"
"""What the API says about itself is not in the source package: its own generator makes it."""
VERSIONED: Final = ("client-go/pkg/version", "component-base/version")


class NotHere(Exception):
    """Why it cannot be built on this machine."""


def programs() -> Path:
    """Where the programs are; skips where they have not been built."""
    if missing := [name for name in COMMANDS if not (PROGRAMS / name).exists()]:
        pytest.skip(f"not built here: {', '.join(missing)} (make cluster builds them)")
    return PROGRAMS


def main() -> None:
    """Install, fetch and build what is missing."""
    try:
        install()
        if not all((PROGRAMS / name).exists() for name in COMMANDS):
            FOLDER.mkdir(exist_ok=True)
            if not SOURCE.exists():
                fetch()
            compile_programs()
            tidy()
    except NotHere as exc:
        sys.exit(f"make cluster: {exc}")


def install() -> None:
    """Install what only the system's package manager can."""
    if os.geteuid() != 0:
        raise NotHere("only root can start a cluster")
    if not shutil.which("kubectl"):
        raise NotHere("there is no kubectl here; it should be as new as the manifests (docs/containers.md)")
    missing = sorted(package for program, package in NEEDED.items() if not shutil.which(program))
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise NotHere(f"install {' '.join(missing)}, or run it on Debian 12")
    tell(f"installing {' '.join(missing)}")
    run("apt-get", "update", "-qq")
    how = ["--yes", "-qq", "--no-install-recommends"]
    run("apt-get", "install", *how, *missing, DEBIAN_FRONTEND="noninteractive")


def fetch() -> None:
    """Get the source package from where this machine gets its packages; apt holds it to the archive's signature."""
    tell("fetching the source of Kubernetes")
    suites = run("apt-get", "indextargets", "--format", SUITES, "Created-By: Packages").splitlines()
    lines = {line for one in suites if (line := _source_line(one))}
    (FOLDER / "sources.list").write_text("".join(sorted(lines)))
    downloads, lists = FOLDER / "download", FOLDER / "lists"
    for folder in (downloads, lists):
        folder.mkdir(exist_ok=True)
    own = [f"-oDir::Etc::SourceList={FOLDER}/sources.list", "-oDir::Etc::SourceParts=-", f"-oDir::State::Lists={lists}"]
    run("apt-get", *own, "update", "-qq")
    run("apt-get", *own, "source", "-qq", "--download-only", "kubernetes", where=downloads)
    (description,) = downloads.glob("*.dsc")
    if not version_of(description).startswith(f"{VERSION}."):
        raise NotHere(f"Debian 12 has the whole source of Kubernetes {VERSION}; here it is {description.name}")
    SOURCE.parent.mkdir(parents=True, exist_ok=True)
    unpacked = FOLDER / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    run("dpkg-source", "--no-check", "--extract", description, unpacked)  # apt has checked it
    unpacked.rename(SOURCE)


def _source_line(suite: str) -> str | None:
    address, release, component, origin = suite.split(" ")
    return f"deb-src {address} {release} {component}\n" if (origin, component) == ("Debian", "main") else None


def compile_programs() -> None:
    """Build the programs as Debian builds its client, with GOPATH: this Go wants more of the source's go.mod."""
    tell("building Kubernetes, which takes some minutes the first time")
    if not (SOURCE / OPENAPI / "zz_generated.openapi.go").exists():
        go_build("vendor/k8s.io/kube-openapi/cmd/openapi-gen")
        _generate_openapi()
    go_build(*(f"cmd/{name}" for name in COMMANDS))


def tidy() -> None:
    """Keep the programs alone: what they were made of is two gigabytes."""
    for path in FOLDER.iterdir():
        if path.is_file():
            path.unlink()
        elif path != PROGRAMS:
            shutil.rmtree(path)


def go_build(*packages: str) -> None:
    stamps = [
        f"-X k8s.io/kubernetes/vendor/k8s.io/{place}.{name}={value}"
        for place in VERSIONED
        for name, value in _version().items()
    ]
    flags = ["-p", "2", "-ldflags", " ".join(["-s", "-w", *stamps])]
    built = FOLDER / "building"
    built.mkdir(exist_ok=True)
    _in_source("go", "build", *flags, "-o", f"{built}/", *(f"k8s.io/kubernetes/{one}" for one in packages))
    PROGRAMS.mkdir(exist_ok=True)
    for program in built.iterdir():  # all or none: a build that was interrupted leaves nothing that looks whole
        program.rename(PROGRAMS / program.name)


def _version() -> dict[str, str]:
    (description,) = (FOLDER / "download").glob("*.dsc")
    version = version_of(description)
    major, minor, _ = version.split(".")
    return {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}


def version_of(description: Path) -> str:
    """The version of Kubernetes, of a name such as kubernetes_1.20.5+really1.20.2-1.dsc."""
    found = re.search(r"(?:_|\+really)(\d+\.\d+\.\d+)[+-](?!really)", description.name)
    return found[1] if found else ""


def _generate_openapi() -> None:
    """Do what the source's Makefile.generated_files does, for the API server alone."""
    search = ["--include=*.go", "^// *+k8s:openapi-gen=", "cmd", "pkg", "plugin", *_staged()]
    found = run("grep", "-rl", *search, where=SOURCE).split()
    folders = sorted({str(Path(one).parent) for one in found if "_examples" not in one and "testdata" not in one})
    violations = FOLDER / "violations"
    options = ["-O", "zz_generated.openapi", "-h", "vendor/k8s.io/code-generator/hack/boilerplate.go.txt"]
    inputs = ",".join(f"k8s.io/kubernetes/{folder}" for folder in folders)
    output: list[str | Path] = ["-p", f"k8s.io/kubernetes/{OPENAPI}", "-r", violations]
    _in_source(PROGRAMS / "openapi-gen", "--logtostderr", "-i", inputs, *output, *options)
    known = SOURCE / "api" / "api-rules" / "violation_exceptions.list"
    if violations.read_text() != known.read_text():
        raise NotHere("the generated OpenAPI is not the one that this version of Kubernetes has")


def _staged() -> list[str]:
    others = {"code-generator", "sample-apiserver"}
    return [f"vendor/k8s.io/{one.name}/" for one in (SOURCE / "vendor/k8s.io").iterdir() if one.name not in others]


def _in_source(*command: str | Path) -> None:
    go = {"GO111MODULE": "off", "GOPATH": GOPATH, "GOCACHE": FOLDER / "cache", "GOPROXY": "off", "CGO_ENABLED": "0"}
    run(*command, where=SOURCE, **{name: str(value) for name, value in go.items()})


def run(*command: str | Path, where: Path = FOLDER, **variables: str) -> str:
    """Run a command; its output. Raises NotHere, with the end of what it said, if it fails."""
    done = subprocess.run(
        command,
        cwd=where if where.exists() else None,
        env=os.environ | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = f"{done.stdout}{done.stderr}"[-3000:]
        raise NotHere(f"{' '.join(map(str, command[:4]))} ended with {done.returncode}:\n{said}")
    return done.stdout


def tell(what: str) -> None:
    print(f"make cluster: {what}", flush=True)


if __name__ == "__main__":
    main()
