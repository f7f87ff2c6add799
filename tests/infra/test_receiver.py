"""The receiver of the local run says what each callback tells."""

import io
import json
import time
from typing import Any

import httpx
import pytest
from rich.console import Console

from infra.local.options import LOCAL_SECRET
from infra.local.receiver import receiving
from infra.local.terminal import Terminal
from tasklane.signature import parse_secrets, signed_headers

CONTRACT_3: dict[str, Any] = {"task_id": "0192", "status": "COMPLETED", "result": None, "error": None}


def shown(body: bytes, secret: str = LOCAL_SECRET) -> tuple[int, str]:
    """The status of the answer, and the terminal's line."""
    printed = io.StringIO()
    headers = signed_headers(parse_secrets(secret), "msg_1", int(time.time()), body)
    with receiving(Terminal(Console(file=printed, width=500)), LOCAL_SECRET) as url:
        answer = httpx.post(url, content=body, headers=headers, trust_env=False)
    return answer.status_code, printed.getvalue().strip().partition("receiver ")[2].strip()


@pytest.mark.parametrize(
    ("event", "line"),
    [
        ({"type": "task.completed", "data": {"id": "0192", "result": 55}}, "task.completed 0192 result=55"),
        (
            {"type": "task.completed", "data": {"id": "0192", "result": None, "result_url": "http://x/y"}},
            'task.completed 0192 result_url="http://x/y"',
        ),
        (CONTRACT_3 | {"result": {"name": "n"}}, 'COMPLETED 0192 result={"name": "n"}'),
        (CONTRACT_3 | {"result_url": "http://x/y"}, 'COMPLETED 0192 result_url="http://x/y"'),
    ],
)
def test_a_callback_is_told_in_a_line(event: dict[str, Any], line: str) -> None:
    assert shown(json.dumps(event).encode()) == (204, f"{line}, signature verified")


@pytest.mark.parametrize("body", [b"", b"[]", b"17", b'{"data": 1}', b'{"status": "COMPLETED"}', b"\xff"])
def test_a_body_that_is_no_callback_is_told_as_such(body: bytes) -> None:
    told = f"a body that is no callback of Tasklane ({len(body)} bytes), signature verified"
    assert shown(body) == (204, told)


def test_a_wrong_signature_is_refused() -> None:
    assert shown(b"{}", "whsec_" + "QUJD" * 8) == (
        401,
        "a body that is no callback of Tasklane (2 bytes), WRONG SIGNATURE",
    )
