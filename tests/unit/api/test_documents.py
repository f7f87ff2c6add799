"""The payload and the result of a task: in the answer, or at their own address where they are large."""

import gzip

import pytest

from tasklane.task import Document, Status
from tests.support.builders import a_task
from tests.unit.api.conftest import Installation, the_problem

MEBIBYTE = 1024 * 1024


def keep(api: Installation, payload: str, result: str | None) -> str:
    """The path of a completed task with these documents, kept in the blob store."""

    def kept(name: str, text: str) -> Document:
        api.blobs.put(name, text.encode())
        return Document(text=None, size=len(text.encode()), blob_key=name)

    task = a_task(
        status=Status.COMPLETED, payload=kept("payload", payload), result=kept("result", result) if result else None
    )
    api.store.put([task])
    return f"/v1/tasks/{task.id}"


def a_text(size: int, letter: str = "x") -> str:
    return f'"{letter * (size - 2)}"'


def test_documents_that_fit_together_are_in_the_answer(api: Installation) -> None:
    path = keep(api, a_text(3 * MEBIBYTE), a_text(2 * MEBIBYTE))

    task = api.client.get(path).json()

    assert (len(task["payload"]), len(task["result"])) == (3 * MEBIBYTE - 2, 2 * MEBIBYTE - 2)
    assert (task["payload_url"], task["result_url"]) == (None, None)


@pytest.mark.parametrize(("larger", "smaller"), [("payload", "result"), ("result", "payload")])
def test_of_documents_too_large_together_the_larger_is_elsewhere(api: Installation, larger: str, smaller: str) -> None:
    sizes = {larger: 3 * MEBIBYTE, smaller: 2 * MEBIBYTE + 1}
    path = keep(api, a_text(sizes["payload"]), a_text(sizes["result"]))

    task = api.client.get(path).json()

    assert (task[larger], task[f"{larger}_url"]) == (None, f"{path}/{larger}")
    assert (len(task[smaller]), task[f"{smaller}_url"]) == (2 * MEBIBYTE - 1, None)
    assert api.client.get(f"{path}/{larger}").text == a_text(3 * MEBIBYTE)


def test_no_answer_is_more_than_a_lambda_may_give(api: Installation) -> None:
    """A Lambda answers with the body as a JSON string, in which every quote takes two bytes."""
    quotes = "[" + ",".join(['""'] * 1_500_000) + "]"
    path = keep(api, quotes, '"small"')

    task = api.client.get(path).json()
    whole = api.client.get(task["payload_url"], headers={"accept-encoding": "gzip"})

    assert (task["payload"], task["result"]) == (None, "small")
    assert whole.headers["content-encoding"] == "gzip"
    assert whole.text == quotes


def test_a_caller_that_takes_no_gzip_gets_none(api: Installation) -> None:
    path = keep(api, '[""' + ',""' * 1_500_000 + "]", None)

    response = api.client.get(f"{path}/payload", headers={"accept-encoding": "identity"})

    assert "content-encoding" not in response.headers
    assert not response.content.startswith(gzip.compress(b"")[:2])


def test_a_payload_that_could_not_be_parsed_again_is_passed_through(api: Installation) -> None:
    deep = "[" * 900 + "]" * 900
    path = keep(api, deep, None)

    assert f'"payload":{deep},' in api.client.get(path).text
    assert api.client.get(f"{path}/payload").text == deep


@pytest.mark.parametrize("end", ["payload", "result"])
def test_a_document_that_is_missing_is_a_503(api: Installation, end: str) -> None:
    path = keep(api, a_text(9000), a_text(9000))
    api.blobs._blobs.clear()

    the_problem(api.client.get(f"{path}/{end}"), 503, "unavailable")


def test_a_task_without_result_has_none(api: Installation) -> None:
    path = f"/v1/tasks/{api.submitted(payload={'a': 1})}"

    problem = the_problem(api.client.get(f"{path}/result"), 404, "result-not-found")
    assert "pending" in problem["detail"]
    assert api.client.get(f"{path}/payload").json() == {"a": 1}
