"""What nobody should have sent: it is refused, or ends as a failed task or a dead letter, and stops nobody else."""

import json
from collections.abc import Callable

import httpx
import pytest

from tasklane.adapters.items import SHARDS
from tasklane.task import CallbackState, Status
from tests.faults.figures import Figures
from tests.faults.history import figures
from tests.faults.installation import Installation, a_queue_with_dead_letters
from tests.faults.processes import processes, workers
from tests.faults.receiver import receiving
from tests.faults.recovery import drain, recover_here
from tests.support.builders import a_message
from tests.support.engine import Aws
from tests.support.waiting import wait_for

GOOD = json.loads(a_message().to_json())
POISON = (
    "",
    "no JSON",
    "null",
    "[" * 50_000,
    '{"task_id": "only-this"}',
    json.dumps(GOOD | {"run": "1"}),
    json.dumps(GOOD | {"priority": 9}),
    json.dumps(GOOD | {"status": "completed"}),
    json.dumps(GOOD | {"task_id": ""}),
    json.dumps(GOOD | {"run": 10**40}),
    json.dumps(GOOD | {"timeout_seconds": 10**30}),
    json.dumps(GOOD | {"task_id": "\ud800"}),
    json.dumps(GOOD | {"task_id": "x" * 3000}),
)


@pytest.mark.row("poison")
def test_poison_ends_in_the_dead_letter_queue_and_its_batch_goes_on(
    aws: Aws, make_installation: Callable[..., Installation], record: Callable[[Figures], None]
) -> None:
    lane, dead = a_queue_with_dead_letters(aws, receives=2, visibility_seconds=60)
    installation = make_installation(TASKLANE_LANE_URLS=",".join([lane] * 5))
    services = installation.services()
    for body in POISON:
        if body:
            aws.sqs.send_message(QueueUrl=lane, MessageBody=body)
    tasks = installation.submit(services, numbers=range(5))
    with workers(installation):
        wait_for(lambda: all(task.status is Status.COMPLETED for task in installation.tasks(tasks)))
        wait_for(lambda: installation.depth(dead) == len(POISON) - 1 and installation.depth(lane) == 0)

    judged = figures(installation, tasks)
    record(Figures(tried=len(POISON) - 1 + judged.tried, lost=judged.lost, doubled=judged.doubled))


BAD_REQUESTS: dict[str, bytes] = {
    "malformed": b'{"type": "work"',
    "not an object": b"[1]",
    "NaN": b'{"type": "work", "payload": {"number": NaN}}',
    "unknown type": b'{"type": "no-such", "payload": {}}',
    "unknown field": b'{"type": "work", "payload": {"number": 1}, "colour": "red"}',
    "payload that does not fit": b'{"type": "work", "payload": {"number": "many"}}',
    "priority out of range": b'{"type": "work", "payload": {"number": 1}, "priority": 6}',
    "callback without a scheme": b'{"type": "work", "payload": {"number": 1}, "callback_url": "ftp://example.com/x"}',
    "too large": b'{"type": "work", "payload": {"number": 1, "pad": "' + b"x" * 5_250_000 + b'"}}',
    "far too large": b'{"type": "work", "payload": {"number": 1, "pad": "' + b"x" * 20_000_000 + b'"}}',
}


@pytest.mark.row("bad-input")
def test_bad_input_is_refused_or_fails_and_is_never_lost(
    installation: Installation, record: Callable[[Figures], None]
) -> None:
    services = installation.services()
    with processes(installation, "serve"), httpx.Client(base_url=installation.api, trust_env=False) as client:
        for why, body in BAD_REQUESTS.items():
            answer = client.post("/v1/tasks", content=body, headers={"content-type": "application/json"})
            assert 400 <= answer.status_code < 500, why
            assert answer.headers["content-type"].startswith("application/problem+json"), why
        assert not installation.journal
        bad = [{"type": name, "payload": {"number": 1}} for name in ("bad-result", "raises-exit")]
        accepted = [client.post("/v1/tasks", json=body) for body in bad]
    tasks = [services.read(answer.json()["id"]) for answer in accepted]

    ended = recover_here(installation, services, tasks)

    assert [task.status for task in ended] == [Status.FAILED, Status.FAILED]
    assert [task.error.type for task in ended if task.error] == ["InvalidResult", "HandlerStopped"]
    judged = figures(installation, tasks)
    record(Figures(tried=len(BAD_REQUESTS) + judged.tried, lost=judged.lost, doubled=judged.doubled))


@pytest.mark.row("record-unreadable")
def test_a_record_from_another_version_stops_nobody_else(
    installation: Installation, aws: Aws, record: Callable[[Figures], None]
) -> None:
    services = installation.services()
    tasks = installation.accept_unsent(services, 30)
    for shard in SHARDS:
        aws.dynamodb.put_item(
            TableName=installation.settings.tasks_table,
            Item={
                "task_id": {"S": f"from-the-future-{shard}"},
                "shard": {"S": shard},
                "status": {"S": "dreaming"},
                "due_at": {"N": "1"},
            },
        )

    ended = recover_here(installation, services, tasks)

    assert {task.status for task in ended} == {Status.COMPLETED}
    record(figures(installation, tasks, since=tasks[0].created_at))


@pytest.mark.row("outbound")
def test_a_callback_to_loopback_reaches_nobody_and_is_recorded(
    make_installation: Callable[..., Installation], record: Callable[[Figures], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = make_installation(TASKLANE_ALLOW_LOOPBACK="false")
    services = installation.services()
    # Submitted before such addresses were refused.
    monkeypatch.setattr("tasklane.submit.why_never", lambda *_, **__: None)
    with receiving() as receiver:
        port = receiver.server_address[1]
        hosts = ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0.0.0.0")
        urls = [f"http://{host}:{port}/" for host in hosts]
        urls.append("http://169.254.169.254/latest/meta-data/")
        tasks = [task for url in urls for task in installation.submit(services, callback_url=url)]
        drain(services)
        drain(services)
        assert receiver.connections == 0

    for task in installation.tasks(tasks):
        assert task.status is Status.COMPLETED
        assert task.callback is not None
        named = "localhost" in task.callback.url  # may be another address's name one day
        assert task.callback.state is (CallbackState.PENDING if named else CallbackState.UNDELIVERED)
        assert (task.due_at is not None) == named
        assert [one.error is not None and "not a public address" in one.error for one in task.callback.history] == [
            True
        ]
    judged = figures(installation, tasks)
    record(Figures(tried=len(tasks), lost=0, doubled=judged.doubled))
