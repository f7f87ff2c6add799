"""Lambda entry point of the API: an event of API Gateway (HTTP API, payload version 2.0) in, its answer out."""

from collections.abc import Callable
from functools import cache
from typing import Any

from mangum import Mangum

from api.app import create_app
from api.correlation import CorrelationFilter
from api.problems import MEDIA_TYPE
from tasklane.bootstrap import function_services
from tasklane.observability import get_logger, traced


def handler(event: dict[str, Any], context: Any) -> Any:
    """Answer one request."""
    get_logger().append_keys(request_id=context.aws_request_id)
    return _answer()(event, context)


@cache
def _answer() -> Callable[[dict[str, Any], Any], Any]:
    get_logger().registered_handler.addFilter(CorrelationFilter())
    services = function_services()
    texts = ["application/json", MEDIA_TYPE, "image/svg+xml", "text/"]
    adapter = Mangum(create_app(services), lifespan="off", text_mime_types=texts)

    def answer(event: dict[str, Any], context: Any) -> Any:  # the tracer wants a function, with a name to trace by
        return adapter(event, context)

    return traced(services.settings, answer)
