"""How clients of those days waited: they asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx


def poll(client: httpx.Client, path: str, over: Callable[[dict[str, Any]], bool], seconds: float = 60) -> Any:
    """Ask until the answer says that it is over, and give that answer."""

    def asked() -> dict[str, Any] | None:
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body if over(body) else None

    return wait_for(asked, f"the end of {path}", seconds=seconds)
