"""`tasklane` in this process, over the API in this process."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from infra.cli.main import main
from infra.cli.options import Given
from tests.unit.api.conftest import Installation, an_installation


class AppTransport(httpx.BaseTransport):
    """Calls the application without a network."""

    def __init__(self, installation: Installation) -> None:
        self._transport = httpx.ASGITransport(installation.application)
        self.requests: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(f"{request.method} {request.url.raw_path.decode()}")

        async def answer() -> httpx.Response:
            response = await self._transport.handle_async_request(request)
            content = await response.aread()
            return httpx.Response(response.status_code, headers=response.headers, content=content)

        return asyncio.run(answer())


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


@dataclass(kw_only=True)
class Shell:
    """Runs commands, and has the installation that they talk to."""

    api: Installation
    transport: httpx.BaseTransport
    capsys: pytest.CaptureFixture[str]

    def run(self, *words: str) -> Done:
        """A command as it is."""
        code = main(words, Given(transport=self.transport))
        printed = self.capsys.readouterr()
        assert "Traceback" not in printed.err
        return Done(code=code, out=printed.out, err=printed.err)

    def ok(self, *words: str) -> Done:
        """A command that does what it was asked to."""
        done = self.run(*words)
        assert (done.code, done.err) == (0, "")
        return done

    def refused(self, *words: str, code: int = 1) -> str:
        """The one sentence of a command that cannot do it."""
        done = self.run(*words)
        assert (done.code, done.out) == (code, "")
        [sentence] = done.err.splitlines()
        return sentence

    def answering(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        """From now on, this answers."""
        self.transport = httpx.MockTransport(answer)


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.delenv("TASKLANE_URL", raising=False)
    with an_installation() as api:
        yield Shell(api=api, transport=AppTransport(api), capsys=capsys)
