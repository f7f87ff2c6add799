"""Contract 3's dashboard page, as whoever watched that system's tasks knows it: in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.support.browser import Dashboard, chromium
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.e2e.local_run import LocalRun

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.apt]


@pytest.fixture(scope="module")
def dashboard(shared_run: LocalRun) -> Iterator[Dashboard]:
    with chromium() as browser:
        window = Dashboard(browser, shared_run.url)
        yield window
        window.close()


def execute(client: httpx.Client, name: str, **parameters: float) -> str:
    body = {"name": name, "parameters": parameters, "callback_url": "http://127.0.0.1:9/nobody-listens"}
    answer = client.post("/api/tasks", json=body)
    assert answer.status_code == 200, answer.text
    task_id: str = answer.json()["task_id"]
    return task_id


def test_it_shows_all_tasks_their_statuses_and_the_queues(client: httpx.Client, dashboard: Dashboard) -> None:
    dashboard.open()
    queues = dashboard.page.locator("#queues tbody th")
    expect(queues).to_have_text(["Lane 5", "Lane 4", "Lane 3", "Lane 2", "Lane 1", "Callbacks"], use_inner_text=True)

    # When a job is submitted, it appears; while it works, it can be seen how far it is
    task_id = execute(client, "watched", steps=20, step_seconds=0.5)
    failing = execute(client, "failing", steps=2, step_seconds=0.1, fail_at=2)
    dashboard.later()
    expect(dashboard.row(task_id)).to_contain_text("simulated_job")
    seen: list[str] = []

    def is_over() -> bool:
        state = client.get(f"/api/tasks/{task_id}/state").json()["status"]
        seen.append(dashboard.status(task_id).inner_text().upper())
        return bool(state == "COMPLETED")

    wait_for(is_over, "the end of the job", pause=dashboard.later)
    dashboard.later()
    expect(dashboard.status(task_id)).to_have_text("completed")
    expect(dashboard.row(task_id)).to_contain_text("100 %")
    expect(dashboard.status(failing)).to_have_text("failed")
    assert set(seen) <= {"PENDING", "RUNNING", "COMPLETED"}
    assert "RUNNING" in seen

    # And everything about it is a click away
    dashboard.row(task_id).click()
    expect(dashboard.fact("Contract")).to_have_text("task-execution")
    expect(dashboard.details).to_contain_text('"name": "watched"')


def test_its_queues_are_those_that_the_tasks_go_down(client: httpx.Client, dashboard: Dashboard) -> None:
    client.post("/v1/lanes/1/pause").raise_for_status()
    dashboard.open()
    try:
        dashboard.later()
        expect(dashboard.queue("Lane 1").get_by_text("paused")).to_be_visible()
        task = client.post("/v1/tasks", json={"type": "echo", "priority": 1, "delay_seconds": 600}).json()
        dashboard.later()
        expect(dashboard.status(task["id"])).to_have_text("scheduled")
        expect(dashboard.queue("Lane 1").locator("td").nth(1)).not_to_have_text("0")
    finally:
        client.post("/v1/lanes/1/resume").raise_for_status()
    dashboard.later()
    expect(dashboard.queue("Lane 1").get_by_text("paused")).to_be_hidden()
