"""``GET /v1/tasks/{id}``: what it shows, and to whom it shows nothing new."""

import pytest

from api.views import TaskView
from tests.support.builders import a_document, a_task, a_task_with_every_field
from tests.unit.api.conftest import Installation, the_problem


def test_a_task_shows_what_became_of_it(api: Installation) -> None:
    task_id = api.submitted(payload={"a": [1, "ü"]})
    api.work()

    task = api.client.get(f"/v1/tasks/{task_id}").json()

    assert (task["status"], task["attempt"]) == ("completed", 1)
    assert (task["payload"], task["result"]) == ({"a": [1, "ü"]}, {"a": [1, "ü"]})
    assert task["finished_at"] == "2025-06-15T15:06:40.000Z"


def test_every_field_has_the_documented_shape(api: Installation) -> None:
    task = a_task_with_every_field(result=a_document("[1]"), delete_at=None)
    api.store.put([task])

    response = api.client.get(f"/v1/tasks/{task.id}")

    shown = TaskView.model_validate_json(response.content)
    assert set(response.json()) == set(TaskView.model_fields)
    assert shown.error is not None
    assert shown.callback is not None
    assert shown.callback.history[1].error == "no answer"
    assert [attempt.number for attempt in shown.attempts] == [3, 4]


def test_text_that_is_no_unicode_does_not_make_a_task_unreadable(api: Installation) -> None:
    task = a_task(labels={"a": "\ud800"})
    api.store.put([task])

    assert api.client.get(f"/v1/tasks/{task.id}").json()["labels"] == {"a": "?"}


def test_a_task_past_its_retention_is_gone(api: Installation) -> None:
    task = a_task(delete_at=api.clock.now() // 1000)
    api.store.put([task])

    the_problem(api.client.get(f"/v1/tasks/{task.id}"), 404, "task-not-found")


def test_head_is_get_without_its_body(api: Installation) -> None:
    path = f"/v1/tasks/{api.submitted()}"

    got, head = api.client.get(path), api.client.request("HEAD", path)

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"] == got.headers["etag"]
    assert head.headers["content-length"] == str(len(got.content))


def test_the_etag_changes_with_the_task_and_only_then(api: Installation) -> None:
    path = f"/v1/tasks/{api.submitted()}"

    before, same = (api.client.get(path).headers["etag"] for _ in range(2))
    api.work()
    after = api.client.get(path).headers["etag"]

    assert before == same != after
    assert before.startswith('"')


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', '"other",W/{} , "more"', "*"])
def test_who_has_it_already_gets_304(api: Installation, form: str) -> None:
    path = f"/v1/tasks/{api.submitted()}"
    etag = api.client.get(path).headers["etag"]

    response = api.client.get(path, headers={"if-none-match": form.format(etag)})

    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == etag


@pytest.mark.parametrize("header", ['"other"', "", "nonsense", '"'])
def test_who_has_another_gets_it(api: Installation, header: str) -> None:
    response = api.client.get(f"/v1/tasks/{api.submitted()}", headers={"if-none-match": header})

    assert response.status_code == 200


def test_a_task_that_is_not_there_is_not_unmodified(api: Installation) -> None:
    the_problem(api.client.get("/v1/tasks/nope", headers={"if-none-match": "*"}), 404, "task-not-found")


def test_a_304_fetches_no_document(api: Installation) -> None:
    path = f"/v1/tasks/{api.submitted(payload={'a': 'x' * 50_000})}"
    etag = api.client.get(path).headers["etag"]
    api.blobs._blobs.clear()

    assert api.client.get(path, headers={"if-none-match": etag}).status_code == 304
    the_problem(api.client.get(path), 503, "unavailable")
