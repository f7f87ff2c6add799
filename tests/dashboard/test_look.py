"""The dashboard for those who see, hear or hold it differently."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.browser import Dashboard
    from tests.support.installation import Installation

    Window = Callable[..., Dashboard]

LEAST_CONTRAST = 4.5
"""Of text, by WCAG 2.2, section 1.4.3."""
CONTRASTS = """() => {
  const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const over = (colours) => {
    paint.clearRect(0, 0, 1, 1);
    for (const colour of colours) { paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1); }
    return [...paint.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (rgb) => {
    const linear = (one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = rgb.map((one) => linear(one / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = {};
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
    if (element.closest(":disabled, noscript, option")) continue;
    const grounds = [];
    for (let one = element; one; one = one.parentElement) grounds.unshift(getComputedStyle(one).backgroundColor);
    const [light, dark] = [luminance(over(grounds)), luminance(over([...grounds, getComputedStyle(element).color]))]
      .sort((a, b) => b - a);
    found[texts.currentNode.data.trim().slice(0, 40)] = (light + 0.05) / (dark + 0.05);
  }
  return found;
}"""

TOO_WIDE = """() => [...document.querySelectorAll("html, section, main, td, th")]
  .filter((one) => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1)
  .map((one) => one.outerHTML.slice(0, 80))"""


def a_bit_of_everything(home: Installation) -> str:
    """Tasks in most statuses; the id of one that has much to show."""
    home.services.pause.pause("lane:2")
    home.submit(priority=2, tenant="acme")
    home.submit(delay_seconds=3600)
    home.services.manage.cancel(home.submit(priority=1).id)
    home.submit(priority=4)
    home.work(4)
    home.dead_letters.send(1, "given up", 0)
    failed = home.submit("fail", callback_url="https://example.com/hook", labels={"order": "4711"})
    home.work(2)
    home.work()
    home.submit()
    return failed.id


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(dashboard: Window, home: Installation, scheme: str) -> None:
    task_id = a_bit_of_everything(home)
    window = dashboard(color_scheme=scheme).open()
    expect(window.row(task_id)).to_be_visible()
    expect(window.queue("Lane 1")).to_be_visible()
    found: dict[str, float] = window.page.evaluate(CONTRASTS)
    window.row(task_id).click()
    expect(window.fact("Status")).to_have_text("failed")
    found |= window.page.evaluate(CONTRASTS)

    assert {"pending", "completed", "cancelled", "scheduled", "failed", "paused", "Live", "Dead letters"} <= set(found)
    assert {text: ratio for text, ratio in found.items() if ratio < LEAST_CONTRAST} == {}
    ground = window.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (ground == "rgb(244, 245, 248)") == (scheme == "light")


def test_nothing_has_to_be_scrolled_sideways(dashboard: Window, home: Installation) -> None:
    task_id = a_bit_of_everything(home)
    window = dashboard().open()
    expect(window.row(task_id)).to_be_visible()
    expect(window.queue("Lane 1")).to_be_visible()
    for width in (360, 820, 1024, 1400):
        window.page.set_viewport_size({"width": width, "height": 740})
        assert window.page.evaluate(TOO_WIDE) == [], width

    window.row(task_id).click()
    expect(window.fact("Status")).to_have_text("failed")
    for width in (1400, 1024, 360):
        window.page.set_viewport_size({"width": width, "height": 740})
        assert window.page.evaluate(TOO_WIDE) == [], width


def test_a_screen_reader_finds_tables_with_headers(dashboard: Window, home: Installation) -> None:
    task_id = a_bit_of_everything(home)
    window = dashboard().open()
    expect(window.row(task_id)).to_be_visible()
    for width in (360, 1400):
        window.page.set_viewport_size({"width": width, "height": 740})
        queues, tasks = window.page.get_by_role("table").all()
        assert queues.get_by_role("columnheader").all_text_contents() == [
            "Queue", "Waiting", "Delayed", "In flight", "Dead letters",
        ]  # fmt: skip
        assert tasks.get_by_role("columnheader").count() == 7
        expect(tasks.get_by_role("row").filter(has_text=task_id).get_by_role("cell")).to_have_count(6)
        assert window.page.locator("th:not([scope])").count() == 0

    expect(window.page.get_by_role("status")).to_have_text("Live")
    assert window.page.locator("html").get_attribute("lang") == "en"
    assert window.page.get_by_role("combobox", name="Status").count() == 1
    expect(window.page.get_by_role("main")).to_be_visible()
