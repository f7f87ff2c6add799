"""Large bodies wait for their turn, and nobody else waits for them."""

import json
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import anyio.to_thread
import pytest

from api.body import LARGE, LARGE_AT_ONCE, MAX_BODY
from tests.support.waiting import wait_for
from tests.unit.api.conftest import Installation

JSON = {"content-type": "application/json"}


class Upload:
    """A body that comes in two halves: ``sent`` are the bytes taken, the second half waits for ``gate``."""

    def __init__(self, size: int) -> None:
        content = json.dumps({"type": "echo", "payload": {"pad": "x" * size}}).encode()
        self._halves = content[: LARGE + 1], content[LARGE + 1 :]
        self.sent = 0
        self.gate = threading.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for half in self._halves:
            yield half
            self.sent += len(half)
            await anyio.to_thread.run_sync(self.gate.wait, 60)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(LARGE_AT_ONCE + 2) as pool:
        yield pool


def test_so_many_large_bodies_are_read_at_once_and_small_ones_go_past_them(
    api: Installation, pool: ThreadPoolExecutor
) -> None:
    uploads = [Upload(2 * LARGE) for _ in range(LARGE_AT_ONCE + 1)]
    answers = [pool.submit(api.client.post, "/v1/tasks", content=one, headers=JSON) for one in uploads[:LARGE_AT_ONCE]]
    try:
        wait_for(lambda: all(one.sent for one in uploads[:LARGE_AT_ONCE]))
        last = uploads[-1]
        last.gate.set()
        answers.append(pool.submit(api.client.post, "/v1/tasks", content=last, headers=JSON))

        assert api.submit().status_code == 202, "a small one"
        assert not answers[-1].done()
        assert last.sent == 0, "what came first of it waits to be taken"
    finally:
        for one in uploads:
            one.gate.set()

    assert [answer.result(20).status_code for answer in answers] == [202] * len(uploads)
    assert last.sent > 2 * LARGE


@pytest.mark.parametrize("size", [2 * LARGE, MAX_BODY])
def test_each_turn_ends(api: Installation, size: int) -> None:
    content = json.dumps({"type": "echo", "payload": {"pad": "x" * size}})

    answers = {api.post(content).status_code for _ in range(LARGE_AT_ONCE + 1)}

    assert answers == {202 if size < MAX_BODY else 413}
    assert api.submit().status_code == 202
