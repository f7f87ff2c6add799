"""What the dashboard shows, and that it goes on showing what is so."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.support.browser import Dashboard

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser

    from tests.dashboard.conftest import Served
    from tests.support.installation import Installation

    Window = Callable[..., Dashboard]

FIGURES = ("waiting", "delayed", "in flight", "dead letters")


def figures(window: Dashboard, queue: str) -> dict[str, str]:
    return dict(zip(FIGURES, window.queue(queue).locator("td").all_text_contents(), strict=True))


def test_an_empty_installation_says_how_to_begin(dashboard: Window, served: Served) -> None:
    window = dashboard().open()

    expect(window.page.locator("#empty")).to_contain_text(f"curl -s {served.url}/v1/tasks")
    assert window.page.title() == "Tasklane"


def test_tasks_appear_and_change_their_status_while_one_looks(dashboard: Window, home: Installation) -> None:
    window = dashboard().open()
    window.page.evaluate("window.loaded = 'once'")

    first = home.submit(priority=5, tenant="acme")
    window.later()
    expect(window.status(first.id)).to_have_text("pending")
    home.clock.advance(1)
    second = home.submit("fail")
    window.later()
    expect(window.status(second.id)).to_have_text("pending")
    home.work(5)
    home.work(3)
    window.later()

    expect(window.status(first.id)).to_have_text("completed")
    expect(window.status(second.id)).to_have_text("failed")
    assert window.shown() == [second.id, first.id], "the newest first"
    expect(window.row(first.id)).to_contain_text("acme")
    expect(window.row(first.id).locator("td").nth(2)).to_have_text("5")
    assert window.page.evaluate("window.loaded") == "once"


def test_progress_and_what_a_task_waits_for_are_shown(dashboard: Window, home: Installation) -> None:
    home.services.pause.pause("lane:2")
    held = home.submit(priority=2)
    wobbling = home.submit("wobble", retry={"pauses": [60]})
    failing = home.submit("fail")
    home.work(2)
    home.work(3)

    window = dashboard().open()

    expect(window.row(held.id)).to_contain_text("waits for pause:lane:2")
    expect(window.row(failing.id)).to_contain_text("50 %")
    expect(window.status(wobbling.id)).to_have_text("scheduled")
    expect(window.row(wobbling.id)).to_contain_text("attempt 1 of 3")


def test_times_are_told_as_distances_with_the_time_itself_beside_them(dashboard: Window, home: Installation) -> None:
    home.clock.advance(-3 * 3600)
    task = home.submit()
    home.clock.advance(3 * 3600)

    window = dashboard().open()

    created = window.row(task.id).locator("time").first
    expect(created).to_have_text("3 h ago")
    itself = datetime.fromtimestamp(task.created_at / 1000, UTC).isoformat(" ", "milliseconds")
    expect(created).to_have_attribute("title", itself.replace("+00:00", " UTC"))


def test_queues_are_shown_with_what_they_hold(dashboard: Window, home: Installation) -> None:
    for _ in range(3):
        home.submit(priority=4)
    home.submit(priority=1, delay_seconds=60)
    home.dead_letters.send(2, "given up", 0)

    window = dashboard().open()

    expect(window.page.locator("#queues tbody th")).to_have_text(
        ["Lane 5", "Lane 4", "Lane 3", "Lane 2", "Lane 1", "Callbacks"], use_inner_text=True
    )
    assert figures(window, "Lane 4") == {"waiting": "3", "delayed": "0", "in flight": "0", "dead letters": "0"}
    assert figures(window, "Lane 1") == {"waiting": "0", "delayed": "1", "in flight": "0", "dead letters": "0"}
    assert figures(window, "Lane 2")["dead letters"] == "1"
    home.queues.receive(4, 2, 0)
    window.later()
    expect(window.queue("Lane 4").locator("td").nth(2)).to_have_text("2")


def test_a_pause_is_shown_and_its_end(dashboard: Window, home: Installation) -> None:
    window = dashboard().open()
    paused = window.queue("Lane 3").get_by_text("paused")
    expect(paused).to_be_hidden()

    home.services.pause.pause("lane:3")
    window.later()
    expect(paused).to_be_visible()
    expect(window.queue("Lane 4").get_by_text("paused")).to_be_hidden()

    home.services.pause.resume("lane:3", lambda: False)
    window.later()
    expect(paused).to_be_hidden()


def test_an_api_that_goes_away_is_missed_and_found_again(dashboard: Window, served: Served, home: Installation) -> None:
    window = dashboard().open()
    before = home.submit()
    window.later()
    expect(window.status(before.id)).to_have_text("pending")
    connection = window.page.locator("#connection")

    served.stop()
    window.later(3)
    expect(connection).to_have_text("The API cannot be reached. Trying again.")
    expect(window.row(before.id)).to_be_visible()
    home.work()
    after = home.submit()
    served.start()
    window.later(31)

    expect(connection).to_have_text("Live")
    expect(window.status(before.id)).to_have_text("completed")
    expect(window.row(after.id)).to_be_visible()


def test_an_api_that_refuses_is_quoted(dashboard: Window, home: Installation) -> None:
    home.submit()
    window = dashboard().open()

    home.store.refuse("get")
    window.later(3)

    connection = window.page.locator("#connection")
    expect(connection).to_contain_text("A service behind this API does not answer (503)")
    window.later(10)
    expect(connection).to_have_text("Live")


def test_it_works_below_whatever_path_the_api_lies(browser: Browser, below: Served, home: Installation) -> None:
    task = home.submit(payload={"hello": "world"})
    window = Dashboard(browser, f"{below.url}/jobs/prod").open(f"#task={task.id}")

    expect(window.row(task.id)).to_be_visible()
    expect(window.details).to_contain_text('"hello": "world"')
    expect(window.queue("Lane 5")).to_be_visible()
    window.close()
