"""``greeting``: says hello."""

from pydantic import BaseModel, ConfigDict, Field

from tasklane.registry import task


class GreetingPayload(BaseModel):
    """Whom to greet."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(examples=["Ada"])


@task("greeting", retry="idempotent")
def greeting(payload: GreetingPayload) -> str:
    """Greet somebody by name."""
    return f"Hello, {payload.name}!"
