"""``echo``: gives back what it got. For trying things out."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from tasklane.registry import task


class EchoPayload(BaseModel):
    """Anything."""

    model_config = ConfigDict(extra="allow")


@task("echo")
def echo(payload: EchoPayload) -> dict[str, Any]:
    """Give back the payload."""
    return payload.model_dump()
