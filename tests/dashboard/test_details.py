"""One task on the dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.dashboard.conftest import Served
    from tests.support.browser import Dashboard
    from tests.support.installation import Installation

    Window = Callable[..., Dashboard]


def test_a_click_opens_everything_about_a_task(dashboard: Window, home: Installation) -> None:
    task = home.submit(payload={"hello": "world"}, labels={"order": "4711"}, tenant="acme", priority=4)
    home.work(4)
    window = dashboard().open()

    window.row(task.id).click()

    expect(window.details).to_be_visible()
    expect(window.page.locator("#details-title")).to_have_text("echo")
    expect(window.fact("Status")).to_have_text("completed")
    expect(window.fact("Id")).to_have_text(task.id)
    expect(window.fact("Priority")).to_have_text("4")
    expect(window.fact("Tenant")).to_have_text("acme")
    expect(window.fact("Labels")).to_have_text("order: 4711")
    expect(window.fact("Attempt")).to_have_text("1 of 3")
    expect(window.details.locator("pre")).to_have_text(['{\n  "hello": "world"\n}'] * 2)
    assert window.page.url.endswith(f"#task={task.id}")


def test_an_address_names_a_task(dashboard: Window, home: Installation) -> None:
    task = home.submit("fail")
    home.work()

    window = dashboard().open(f"#task={task.id}")

    expect(window.fact("Status")).to_have_text("failed")
    expect(window.details.locator(".failure")).to_have_text("NonRetryable: There is no such account.")
    expect(window.fact("Progress")).to_contain_text("50 %, half of it")
    expect(window.row(task.id)).to_have_attribute("aria-current", "true")


def test_attempts_and_tries_are_shown(dashboard: Window, home: Installation) -> None:
    task = home.submit("fail", callback_url="https://example.com/hook")
    home.work()
    home.deliver()

    window = dashboard().open(f"#task={task.id}")

    attempts, tries = window.details.locator("table").all()
    expect(attempts.locator("tbody td")).to_contain_text(["1", "ago", "ms", "NonRetryable: There is no such account."])
    expect(tries.locator("tbody td")).to_contain_text(["1", "ago", "ms", "500"])
    expect(window.fact("State")).to_have_text("pending")
    expect(window.fact("To")).to_have_text("https://example.com/hook")
    expect(window.fact("Next try")).to_contain_text("UTC")


def test_the_details_follow_the_task_and_keep_what_is_selected(dashboard: Window, home: Installation) -> None:
    task = home.submit()
    window = dashboard().open(f"#task={task.id}")
    expect(window.fact("Status")).to_have_text("pending")

    home.work()
    window.later()

    expect(window.fact("Status")).to_have_text("completed")


def test_numbers_keep_all_their_digits(dashboard: Window, home: Installation) -> None:
    task = home.submit(payload={"id": 12345678901234567890, "price": 1.10, "tiny": 1e-400 + 1e-7, "n": 7})
    window = dashboard().open(f"#task={task.id}")

    expect(window.details.locator("pre")).to_contain_text('"id": 12345678901234567890')
    expect(window.details.locator("pre")).to_contain_text('"price": 1.1,')


def test_a_large_document_is_shown_in_part_and_as_a_link(dashboard: Window, home: Installation) -> None:
    task = home.submit(payload={"text": "x" * 300_000, "end": "its last words"})
    window = dashboard().open(f"#task={task.id}")

    expect(window.details).to_contain_text("That was the beginning")
    expect(window.details).not_to_contain_text("its last words")
    whole = window.details.get_by_role("link", name="the whole payload").get_attribute("href")
    assert window.page.request.get(str(whole)).json()["end"] == "its last words"


def test_a_task_that_is_not_there_is_said_to_be_none(dashboard: Window) -> None:
    window = dashboard().open("#task=nobody-knows-it")

    expect(window.details).to_contain_text("There is no such task (404)")
    window.is_live()


def test_the_keyboard_opens_and_closes_them(dashboard: Window, home: Installation) -> None:
    task = home.submit()
    window = dashboard().open()
    link = window.row(task.id).locator("a")

    link.focus()
    assert link.evaluate("node => getComputedStyle(node).outlineStyle") == "solid", "seen to have the focus"
    window.page.keyboard.press("Enter")
    expect(window.page.locator("#details-title")).to_be_focused()
    window.page.keyboard.press("Tab")
    expect(window.page.locator("#close")).to_be_focused()
    window.page.keyboard.press("Escape")

    expect(window.details).to_be_hidden()
    expect(link).to_be_focused()


def test_where_they_cover_the_list_it_cannot_be_reached_below_them(dashboard: Window, home: Installation) -> None:
    task = home.submit()
    window = dashboard(viewport={"width": 360, "height": 740}).open(f"#task={task.id}")

    expect(window.page.locator("#page")).to_have_attribute("inert", "")
    window.page.locator("#close").click()
    expect(window.page.locator("#page")).not_to_have_attribute("inert", "")


def test_back_leads_from_one_task_to_the_one_before(dashboard: Window, home: Installation) -> None:
    first, second = home.submit(payload={"n": 1}), home.submit(payload={"n": 2})
    window = dashboard().open()

    window.row(first.id).click()
    window.row(second.id).click()
    expect(window.fact("Id")).to_have_text(second.id)
    window.page.go_back()

    expect(window.fact("Id")).to_have_text(first.id)


HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'&lt;{version}"


def test_what_a_task_says_stays_text(dashboard: Window, served: Served) -> None:
    with httpx.Client(base_url=served.url) as anybody:
        anybody.post("/v1/task-types", json={"name": HOSTILE}).raise_for_status()
        task = {"payload": {HOSTILE: [HOSTILE]}, "labels": {"<i>": HOSTILE}, "tenant": "<b>x</b>"}
        task_id = anybody.post("/v1/tasks", json={"type": HOSTILE, **task}).raise_for_status().json()["id"]
        [lease] = anybody.post("/v1/leases", json={"functions": [HOSTILE]}).json()["leases"]
        end = {"error": {"type": HOSTILE, "message": HOSTILE}, "retryable": False, "lease_token": lease["lease_token"]}
        anybody.post(f"/v1/leases/{task_id}/fail", json=end).raise_for_status()

    window = dashboard().open(f"#task={task_id}")

    expect(window.row(task_id).locator(".type")).to_have_text(HOSTILE)
    expect(window.row(task_id).locator(".tenant")).to_have_text("<b>x</b>")
    expect(window.page.locator("#details-title")).to_have_text(HOSTILE)
    expect(window.fact("Labels")).to_have_text(f"<i>: {HOSTILE}")
    expect(window.details.locator(".failure")).to_have_text(f"{HOSTILE}: {HOSTILE}")
    expect(window.details.locator("pre")).to_contain_text("<img src=x onerror=alert(1)>")
    assert window.page.locator("img, body script, b, i").count() == 0


def test_a_mistake_of_the_page_itself_would_run_nothing(dashboard: Window) -> None:
    window = dashboard().open()

    refused = window.page.evaluate("""() => {
        const element = document.body.appendChild(document.createElement("p"));
        const refusals = [];
        for (const mistake of [
            () => { element.innerHTML = "<b>bold</b>"; },
            () => { element.setAttribute("onclick", "alert(1)"); },
            () => { element.append(Object.assign(document.createElement("script"), { text: "alert(2)" })); },
        ]) {
            try { mistake(); } catch (error) { refusals.push(error.name); }
        }
        element.click();
        return refusals;
    }""")

    assert refused == ["TypeError"] * 3
    assert all("TrustedHTML" in one or "TrustedScript" in one for one in window.troubles), window.troubles
    window.troubles.clear()
