"""The dashboard's list: filter, pages, and what it asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.browser import Dashboard
    from tests.support.installation import Installation

    Window = Callable[..., Dashboard]

PAGE = 50


def submitted(home: Installation, count: int) -> list[str]:
    """The ids of so many tasks, the newest first."""
    ids = []
    for number in range(count):
        home.clock.advance(0.01)
        ids.append(home.submit(payload={"n": number}).id)
    return ids[::-1]


def finished(home: Installation, count: int) -> list[str]:
    ids = submitted(home, count)
    for _ in range(0, count, 10):
        home.work()
    return ids


def asked(window: Dashboard, path: str) -> int:
    """How often, since the last question."""
    found = [one for one in window.requests if one.partition("?")[0] == path]
    window.requests[:] = [one for one in window.requests if one not in found]
    return len(found)


def test_a_status_is_picked_and_is_in_the_address(dashboard: Window, home: Installation) -> None:
    completed = home.submit()
    failed = home.submit("fail")
    home.work()
    waiting = home.submit()
    window = dashboard().open()
    expect(window.page.locator("#tasks tbody tr")).to_have_count(3)

    window.page.get_by_label("Status").select_option("failed")
    expect(window.row(completed.id)).to_have_count(0)
    assert window.shown() == [failed.id]
    assert window.page.url.endswith("#status=failed")

    window.page.reload()
    expect(window.row(failed.id)).to_be_visible()
    assert window.shown() == [failed.id]
    expect(window.page.get_by_label("Status")).to_have_value("failed")

    window.page.get_by_label("Status").select_option("pending")
    expect(window.row(waiting.id)).to_be_visible()
    window.page.get_by_label("Status").select_option("cancelled")
    expect(window.page.locator("#empty")).to_have_text("No task is cancelled.")


def test_older_pages_lead_to_the_oldest_task_and_back(dashboard: Window, home: Installation) -> None:
    ids = submitted(home, 2 * PAGE + 7)
    window = dashboard().open()
    position, older = window.page.locator("#position"), window.page.locator("#older")
    pages = []

    for place in ("50 tasks, the newest", "50 older tasks", "7 older tasks"):
        expect(position).to_have_text(place)
        pages.append(window.shown())
        if place.startswith("50"):
            expect(window.row(ids[PAGE * len(pages) - 1])).to_be_visible()
            older.click()
            expect(window.row(ids[PAGE * len(pages)])).to_be_visible()

    assert [one for page in pages for one in page] == ids
    expect(older).to_be_disabled()
    window.page.reload()
    expect(window.row(ids[-1])).to_be_visible()
    window.page.go_back()
    expect(window.row(ids[PAGE])).to_be_visible()
    window.page.locator("#newer").click()
    expect(window.row(ids[0])).to_be_visible()
    expect(window.page.locator("#newer")).to_be_disabled()


def test_newer_and_newest_lead_back(dashboard: Window, home: Installation) -> None:
    ids = submitted(home, 2 * PAGE + 7)
    window = dashboard().open()
    for page in (1, 2):
        window.page.locator("#older").click()
        expect(window.row(ids[PAGE * page])).to_be_visible()

    window.page.locator("#newer").click()
    expect(window.row(ids[PAGE])).to_be_visible()
    window.page.locator("#newest").click()
    expect(window.row(ids[0])).to_be_visible()


def test_a_search_that_finds_nothing_among_a_thousand_goes_on_on_demand(dashboard: Window, home: Installation) -> None:
    scheduled = home.submit(delay_seconds=3600)
    submitted(home, 1_010)
    window = dashboard().open("#status=scheduled")

    expect(window.page.locator("#empty")).to_contain_text("None of the thousand tasks here is scheduled")
    window.page.locator("#older").click()

    expect(window.row(scheduled.id)).to_be_visible()


def test_an_address_that_names_no_page_says_so(dashboard: Window) -> None:
    window = dashboard().open("#cursor=made-up")

    expect(window.page.locator("#empty")).to_contain_text("The cursor is not one that this API gave.")
    window.page.get_by_role("link", name="Show the newest tasks").click()
    expect(window.page.locator("#empty")).to_contain_text("No tasks yet.")


def test_a_refresh_is_one_list_and_now_and_then_the_queues(dashboard: Window, home: Installation) -> None:
    submitted(home, 3 * PAGE)
    window = dashboard().open()
    assert (asked(window, "/v1/tasks"), asked(window, "/v1/lanes")) == (1, 1)

    window.later(20)

    assert 3 <= asked(window, "/v1/tasks") <= 10
    assert 1 <= asked(window, "/v1/lanes") <= 4
    assert not [one for one in window.requests if one.startswith("/v1")], "and nothing else"


def test_what_cannot_change_is_not_asked_for_again(dashboard: Window, home: Installation) -> None:
    ids = finished(home, 2 * PAGE)
    window = dashboard().open()
    window.page.locator("#older").click()
    expect(window.row(ids[-1])).to_be_visible()
    window.row(ids[-1]).click()
    expect(window.fact("Status")).to_have_text("completed")
    window.requests.clear()

    window.later(10)

    assert asked(window, "/v1/lanes") >= 1
    assert window.requests == []


def test_a_task_that_begins_again_is_followed_again(dashboard: Window, home: Installation) -> None:
    task = home.submit("fail")
    home.work()
    window = dashboard().open(f"#task={task.id}")
    expect(window.fact("Status")).to_have_text("failed")

    home.services.manage.retry(task.id)
    window.later()

    expect(window.fact("Status")).to_have_text("pending")


def test_nobody_looking_means_nobody_asking(dashboard: Window, home: Installation) -> None:
    window = dashboard().open()
    connection = window.page.locator("#connection")
    be_hidden = """hidden => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""

    window.page.evaluate(be_hidden, arg=True)
    expect(connection).to_have_text("Paused while nobody looks")
    window.requests.clear()
    window.page.clock.run_for(60_000)
    assert window.requests == []
    task = home.submit()
    window.page.evaluate(be_hidden, arg=False)

    expect(connection).to_have_text("Live")
    expect(window.row(task.id)).to_be_visible()


def test_the_longer_the_api_is_away_the_less_often_it_is_asked(dashboard: Window, home: Installation) -> None:
    window = dashboard().open()
    window.page.route("**/v1/**", lambda route: route.abort())
    window.later(6)
    expect(window.page.locator("#connection")).to_contain_text("cannot be reached")
    window.requests.clear()

    window.later(60)

    assert 1 <= asked(window, "/v1/tasks") <= 8, "not 30 times"
    window.page.unroute("**/v1/**")
    window.later(31)
    window.is_live()


def test_rows_that_stay_keep_the_focus(dashboard: Window, home: Installation) -> None:
    task = home.submit()
    window = dashboard().open()
    window.row(task.id).locator("a").focus()

    home.clock.advance(1)
    other = home.submit()
    window.later()

    expect(window.row(other.id)).to_be_visible()
    expect(window.row(task.id).locator("a")).to_be_focused()
