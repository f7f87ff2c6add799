"""What this API sends: callbacks, described for the OpenAPI document. Nothing here is called."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import FastAPI, Header
from pydantic import BaseModel, ConfigDict, Field, create_model

from api.views import TaskView
from tasklane.callback_body import NOT_TOLD

_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    "2XX": {"description": "Delivered; the body of the answer is not looked at."},
    "410": {"description": "Nobody wants it: given up at once."},
    "4XX": {"description": "Tried again for three days; or given up at once, where task or installation say so."},
    "5XX": {"description": "Tried again for three days, or when `Retry-After` says."},
}
_LEFT_OUT: Final = (*NOT_TOLD, "payload_url", "result_url")


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"additionalProperties": True})


ToldTask: Final[type[BaseModel]] = create_model(
    "ToldTask",
    __base__=_Told,
    __doc__="A task as callbacks show it. New members may be added.",
    **{name: (one.annotation, one) for name, one in TaskView.model_fields.items() if name not in _LEFT_OUT},  # type: ignore[call-overload]
    result_url=(
        str | None,
        Field(default=None, description="Where to fetch a result over 64 KiB, without credentials; only then."),
    ),
    result_url_expires_at=(datetime | None, Field(default=None, description="Until when; only with `result_url`.")),
)


class CallbackBody(_Told):
    """What a callback says. Tasks of contracts with callbacks of their own are told in those words."""

    type: Literal[
        "task.running", "task.progress", "task.completed", "task.failed", "task.cancelled", "task.expired"
    ] = Field(description="What happened; the first two only where `callback_events` asked for them.")
    timestamp: datetime = Field(description="When it happened.")
    sequence: int = Field(ge=1, description="Greater than that of every event of the task that was before.")
    data: ToldTask


def describe(app: FastAPI) -> None:
    """Add the callbacks to the document of ``app``."""

    @app.webhooks.post(
        "callback",
        summary="A task is told of",
        tags=["callbacks"],
        operation_id="callback",
        status_code=204,
        response_description="Delivered.",
        responses=_ANSWERS,
    )
    def callback(
        body: CallbackBody,
        webhook_id: Annotated[str, Header(description="Names this event; the same in every try.")],
        webhook_timestamp: Annotated[int, Header(description="When this try was made, in Unix seconds.")],
        webhook_signature: Annotated[str, Header(description="`v1,…` for each live secret, blanks between them.")],
    ) -> None:
        """Posted to a task's `callback_url` when it has ended, signed as Standard Webhooks describes.

        See https://www.standardwebhooks.com/ and docs/callbacks.md.
        """
