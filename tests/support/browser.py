"""The system's own chromium, driven by playwright; and pages that note whatever a page must not do."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
from playwright.sync_api import expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Dialog, Locator, Request

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome")
FLAGS: Final = (
    "--no-sandbox",  # a build runs as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NO_ANSWER: Final = "Failed to load resource"
"""How the browser's own line about a request begins that did not succeed."""
PATIENCE_MS: Final = 30_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser with a profile of its own; what is missing on a laptop is a skip that says what to do."""
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no chromium here: make chromium installs it")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


class Dashboard:
    """The dashboard of an installation in a window of its own.

    It lies below ``base``; ``window`` is how the window is, as playwright has it.
    """

    def __init__(self, browser: Browser, base: str, **window: Any) -> None:
        self.base = base
        self.troubles: list[str] = []
        self.requests: list[str] = []
        """What the page asked for, below ``base``."""
        self._unanswered: set[Request] = set()
        self._context = browser.new_context(**window)
        self._context.set_default_timeout(PATIENCE_MS)
        self.page = self._context.new_page()
        self.page.on("console", self._note_line)
        self.page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        self.page.on("dialog", self._note_dialog)
        self.page.on("request", self._note_request)
        self.page.on("requestfinished", self._note_end)
        self.page.on("requestfailed", self._note_end)
        self.page.clock.install()  # goes on as it is, and in ``later`` faster

    def open(self, place: str = "") -> Dashboard:
        """Load the page, with this behind the #, and wait until it is live."""
        self.page.goto(f"{self.base}/dashboard{place}")
        self.is_live()
        return self

    def close(self) -> None:
        """End it; fails if the page did what it must not."""
        self._context.close()
        assert self.troubles == []

    def is_live(self) -> None:
        expect(self.page.locator("#connection")).to_have_text("Live")

    def later(self, seconds: int = 7) -> None:
        """Let the page live through so much time, and get its answers, without anybody's waiting for it."""
        for _ in range(seconds):
            self.page.clock.run_for(1_000)
            while self._unanswered:
                self.page.wait_for_timeout(5)
            self.page.evaluate("0")  # what the answers are for has been done

    def row(self, task_id: str) -> Locator:
        return self.page.locator(f'#tasks tr[data-id="{task_id}"]')

    def status(self, task_id: str) -> Locator:
        return self.row(task_id).locator(".badge")

    def shown(self) -> list[str]:
        """The ids of the tasks in the list, in its order."""
        ids: list[str] = self.page.locator("#tasks tbody tr").evaluate_all("rows => rows.map(row => row.dataset.id)")
        return ids

    def queue(self, name: str) -> Locator:
        return self.page.locator("#queues tbody tr").filter(has_text=name)

    @property
    def details(self) -> Locator:
        return self.page.locator("#details")

    def fact(self, name: str) -> Locator:
        """What the details say under this name."""
        return self.details.locator(f'dt:text-is("{name}") + dd')

    def _note_line(self, line: ConsoleMessage) -> None:
        if not line.text.startswith(NO_ANSWER):  # of which the page tells whoever looks at it
            self.troubles.append(f"{line.type}: {line.text}")

    def _note_dialog(self, dialog: Dialog) -> None:
        self.troubles.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _note_request(self, request: Request) -> None:
        self._unanswered.add(request)
        if request.url.startswith(f"{self.base}/"):
            self.requests.append(request.url.removeprefix(self.base))
        else:
            self.troubles.append(f"request: {request.url}")

    def _note_end(self, request: Request) -> None:
        self._unanswered.discard(request)
