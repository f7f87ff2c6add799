"""Reads template.yaml, and expands it as AWS does before deploying it.

`sam` and cfn-lint check the template as it stands; what is wrong inside of a function (a dangling reference in its
environment, an unknown property of an event) only shows after the SAM transform.
"""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "template.yaml"
SAMCONFIG = ROOT / "samconfig.toml"


def load(path: Path = TEMPLATE) -> dict[str, Any]:
    """Read the template; the short forms (`!Ref`) become the long ones (`{"Ref": …}`)."""
    template: dict[str, Any] = yaml_parse(path.read_text(encoding="utf-8"))
    return template


def parameters(environment: str = "default", path: Path = SAMCONFIG) -> dict[str, str]:
    """Give the parameter overrides that samconfig.toml has for an environment."""
    config = tomllib.loads(path.read_text(encoding="utf-8"))
    overrides: list[str] = config[environment]["deploy"]["parameters"]["parameter_overrides"]
    return dict(override.split("=", 1) for override in overrides)


def with_code(template: dict[str, Any], code_uri: str) -> dict[str, Any]:
    """Give a copy of the template whose functions take their code from this S3 URI."""
    changed = copy.deepcopy(template)
    changed["Globals"]["Function"]["CodeUri"] = code_uri
    return changed


def expand(template: dict[str, Any], region: str = "eu-central-1") -> dict[str, Any]:
    """Expand the SAM template into plain CloudFormation, without a network and without credentials."""
    from boto3 import Session  # noqa: PLC0415 - a second of imports that only the checks need
    from samtranslator.parser.parser import Parser  # noqa: PLC0415
    from samtranslator.translator.translator import Translator  # noqa: PLC0415

    translator = Translator({}, Parser(), boto_session=Session(region_name=region))
    expanded: dict[str, Any] = translator.translate(with_code(template, "s3://code-bucket/code.zip"), {})
    return expanded
