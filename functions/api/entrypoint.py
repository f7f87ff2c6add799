"""Lambda entry point of the API: an event of API Gateway (HTTP API, payload version 2.0) in, its answer out."""

from functools import cache
from typing import Any

from mangum import Mangum

from api.app import create_app
from api.correlation import CorrelationFilter
from api.problems import MEDIA_TYPE
from tasklane.bootstrap import function_services
from tasklane.observability import get_logger, traced


@cache
def _adapter() -> Any:
    services = function_services()
    get_logger().registered_handler.addFilter(CorrelationFilter())
    adapter = Mangum(create_app(services), lifespan="off", text_mime_types=["application/json", MEDIA_TYPE, "text/"])
    return traced(services.settings, adapter)


def handler(event: dict[str, Any], context: Any) -> Any:
    """Answer one request."""
    get_logger().append_keys(request_id=context.aws_request_id)
    return _adapter()(event, context)
