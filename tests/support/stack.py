"""template.yaml on an engine where nothing works by itself: no queue calls a function, no schedule sweeps."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra import template
from infra.local import clients, options, package, provision, roles
from tests.support.engine import Aws, running_engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from infra.local.deployment import Deployment
    from infra.local.target import Target

ROLES = ("api", "worker", "callbacks", "sweeper")


@dataclass(frozen=True, kw_only=True)
class Stack:
    """What was deployed, for processes of the test's own to work on."""

    target: Target
    deployment: Deployment
    aws: Aws

    def environment(self, role: str) -> dict[str, str]:
        """What a process needs that plays ``role``: its function's variables, and a session of its function's role."""
        name = self.deployment.function_names[role]
        function = self.aws.client("lambda").get_function_configuration(FunctionName=name)
        roles.open_role(self.aws.client("iam"), function["Role"])
        session = self.aws.client("sts").assume_role(RoleArn=function["Role"], RoleSessionName=role)["Credentials"]
        return {
            **function["Environment"]["Variables"],
            "AWS_ENDPOINT_URL": self.target.endpoint,
            "AWS_REGION": self.target.variables["AWS_REGION"],
            "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
            "AWS_SESSION_TOKEN": session["SessionToken"],
        }


@contextmanager
def a_stack(scratch: Path) -> Iterator[Stack]:
    """Deploy it; skips, saying why, where the engine does not start."""
    with running_engine(scratch) as target, closing(Aws(endpoint=target.endpoint)) as aws:
        code = package.build(template.ROOT / "functions")
        deployment = provision.deploy(clients.connect(target), code, webhook_secret=options.LOCAL_SECRET)
        functions, scheduler = aws.client("lambda"), aws.client("scheduler")
        for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        for schedule in scheduler.list_schedules()["Schedules"]:
            scheduler.delete_schedule(Name=schedule["Name"])
        yield Stack(target=target, deployment=deployment, aws=aws)
