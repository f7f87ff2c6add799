"""What the queue ports promise: lanes by priority, delays, batches of any size, and a source that hands it all out."""

import json
from dataclasses import replace

from tasklane.adapters.sqs import SqsTaskQueue
from tasklane.clock import SystemClock
from tasklane.message import CallbackMessage, TaskMessage
from tasklane.ports import Depth
from tasklane.task import Status
from tests.contract.conftest import LANES, Adapter, Queues
from tests.support.builders import a_completed_task, a_message, a_pending_callback, a_task
from tests.support.engine import Aws

CALLBACKS = 0


def test_each_message_goes_down_the_lane_of_its_priority(queues: Queues) -> None:
    messages = [a_message(a_task(priority=lane)) for lane in (3, 1, 5, 2, 4, 3)]

    assert queues.lanes.send(messages) == [None] * 6

    received = {lane: [TaskMessage.from_json(one.body) for one in queues.receive(lane)] for lane in LANES}
    assert {lane: sorted(m.task_id for m in received[lane]) for lane in LANES} == {
        lane: sorted(m.task_id for m in messages if m.priority == lane) for lane in LANES
    }
    assert queues.receive(CALLBACKS) == []


def test_a_message_arrives_as_it_was_sent(queues: Queues) -> None:
    now = queues.clock.now()
    message = a_message(
        a_task(type="Überweisung 🚀", tenant="tenant-a", status=Status.SCHEDULED, run=4, run_at=now, expires_at=now + 9)
    )

    queues.lanes.send([message])

    (delivery,) = queues.receive(message.priority)
    assert TaskMessage.from_json(delivery.body) == message
    assert delivery.message_id


def test_more_messages_than_one_request_takes_are_all_sent(queues: Queues) -> None:
    messages = [a_message(a_task(priority=2 + n % 2)) for n in range(43)]

    assert queues.lanes.send(messages) == [None] * 43

    received = [TaskMessage.from_json(one.body) for lane in LANES for one in queues.receive(lane)]
    assert sorted(message.task_id for message in received) == sorted(message.task_id for message in messages)


def test_a_message_for_later_is_received_when_its_time_has_come(queues: Queues) -> None:
    at_once = a_message(a_task(tenant="now"))
    later = a_message(a_task(tenant="later", status=Status.SCHEDULED, run_at=queues.clock.now() + 1000))

    assert queues.lanes.send([later, at_once]) == [None, None]

    assert [TaskMessage.from_json(one.body) for one in queues.receive(at_once.priority)] == [at_once]
    delivered = queues.wait_for(lambda: queues.receive(later.priority))
    assert [TaskMessage.from_json(one.body) for one in delivered] == [later]
    assert later.run_at is not None
    assert queues.clock.now() >= later.run_at


def test_a_callback_for_later_is_received_when_its_time_has_come(queues: Queues) -> None:
    at_once = CallbackMessage.of(a_completed_task(callback=a_pending_callback(tries=3)))
    later = CallbackMessage(task_id="later", number=1, send_at=queues.clock.now() + 1000)

    assert queues.callbacks.send([later, at_once]) == [None, None]

    assert [CallbackMessage.from_json(one.body) for one in queues.receive(CALLBACKS)] == [at_once]
    delivered = queues.wait_for(lambda: queues.receive(CALLBACKS))
    assert [CallbackMessage.from_json(one.body) for one in delivered] == [later]


def test_more_callbacks_than_one_request_takes_are_all_sent(queues: Queues) -> None:
    messages = [CallbackMessage(task_id=f"task-{n}", number=1) for n in range(21)]

    assert queues.callbacks.send(messages) == [None] * 21
    assert queues.callbacks.send(messages[:1]) == [None]

    received = [CallbackMessage.from_json(one.body) for one in queues.receive(CALLBACKS)]
    assert len(received) == 22
    assert set(received) == set(messages)


def test_nothing_to_send_is_no_request(queues: Queues) -> None:
    assert queues.lanes.send([]) == []
    assert queues.callbacks.send([]) == []


def test_a_received_message_is_hidden_until_it_is_released(queues: Queues) -> None:
    message = a_message()
    queues.lanes.send([message])

    (first,) = queues.source.receive(message.priority, 10, 0)
    assert queues.source.receive(message.priority, 10, 0) == []

    queues.source.release(message.priority, [first.handle], 0)
    (second,) = queues.wait_for(lambda: queues.source.receive(message.priority, 10, 0))
    assert second.body == first.body


def test_a_released_message_may_have_to_wait(queues: Queues) -> None:
    message = a_message()
    queues.lanes.send([message])
    (first,) = queues.source.receive(message.priority, 10, 0)

    queues.source.release(message.priority, [first.handle], 1)

    assert queues.source.receive(message.priority, 10, 0) == []
    assert queues.wait_for(lambda: queues.source.receive(message.priority, 10, 0))[0].body == first.body


def test_a_message_that_nobody_acknowledged_is_received_again_by_another_handle(adapter: Adapter) -> None:
    queues = adapter.queues(visibility_seconds=1)
    queues.lanes.send([a_message()])
    (first,) = queues.source.receive(3, 10, 0)

    (second,) = queues.wait_for(lambda: queues.source.receive(3, 10, 0))

    assert (second.body, second.message_id) == (first.body, first.message_id)
    assert second.handle != first.handle


def test_messages_stay_hidden_for_as_long_as_somebody_extends_that(adapter: Adapter) -> None:
    queues = adapter.queues(visibility_seconds=2)
    queues.lanes.send([a_message(), a_message()])
    held = queues.wait_for(lambda: queues.source.receive(3, 10, 0))
    rest = queues.source.receive(3, 10, 0)
    handles = [one.handle for one in (*held, *rest)]
    assert len(handles) == 2

    for _ in range(3):
        at = queues.clock.now() + 1000
        queues.wait_for(lambda at=at: queues.clock.now() >= at)  # type: ignore[misc]
        assert queues.source.extend(3, handles) == 2
        assert queues.source.receive(3, 10, 0) == []
    extended = queues.clock.now()

    assert queues.wait_for(lambda: queues.source.receive(3, 10, 0))
    assert queues.clock.now() >= extended + 1500


def test_an_acknowledged_message_is_gone(queues: Queues) -> None:
    message = a_message()
    queues.lanes.send([message, a_message()])
    deliveries = queues.wait_for(lambda: queues.source.receive(message.priority, 10, 0))

    queues.source.acknowledge(message.priority, [one.handle for one in deliveries])

    assert queues.receive(message.priority) == []


def test_no_more_messages_are_received_than_asked_for(queues: Queues) -> None:
    queues.lanes.send([a_message() for _ in range(15)])

    assert len(queues.source.receive(3, 4, 0)) == 4
    assert len(queues.source.receive(3, 10, 0)) == 10
    assert len(queues.source.receive(3, 10, 0)) == 1


def test_queues_that_are_there_answer(queues: Queues) -> None:
    queues.lanes.check()
    queues.callbacks.check()


def test_queues_tell_how_full_they_are(queues: Queues) -> None:
    later = a_message(a_task(status=Status.SCHEDULED, run_at=queues.clock.now() + 600_000))
    queues.lanes.send([a_message(), a_message(), later, a_message(a_task(priority=5))])
    queues.source.receive(3, 1, 0)
    for _ in range(2):
        queues.bury(3, "x")
    queues.bury(CALLBACKS, "y")

    empty = Depth(waiting=0, delayed=0, in_flight=0, dead_letters=0)
    assert queues.depths.depths([3, 5, 1, CALLBACKS]) == [
        Depth(waiting=1, delayed=1, in_flight=1, dead_letters=2),
        replace(empty, waiting=1),
        empty,
        replace(empty, dead_letters=1),
    ]


def test_a_received_dead_letter_is_hidden_and_still_counted_until_it_is_given_back(queues: Queues) -> None:
    queues.bury(2, "x")
    queues.bury(2, "y")

    held = queues.wait_for(lambda: queues.dead_letters.receive(2, 10, 1))

    assert {one.body for one in held} == {"x", "y"}
    assert queues.dead_letters.receive(2, 10, 0) == []
    assert queues.depths.depths([2])[0].dead_letters == 2
    x = next(one for one in held if one.body == "x")
    queues.dead_letters.acknowledge(2, [x.handle])
    queues.dead_letters.release(2, [one.handle for one in held if one is not x], 0)
    assert [one.body for one in queues.wait_for(lambda: queues.dead_letters.receive(2, 10, 0))] == ["y"]
    assert queues.depths.depths([2])[0].dead_letters == 1


def test_the_tenant_travels_as_the_message_group_so_that_the_lane_is_fair(aws: Aws) -> None:
    urls = {lane: aws.a_queue() for lane in LANES}
    tenants = [f"tenant-{n}" for n in range(3)]
    queue = SqsTaskQueue(aws.sqs, urls, SystemClock())

    queue.send([a_message(a_task(tenant=tenant)) for tenant in tenants])
    queue.send([a_message(a_task(tenant="alone", priority=1))])

    def groups(url: str) -> dict[str, str]:
        answer = aws.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["MessageGroupId"]
        )
        return {json.loads(one["Body"])["tenant"]: one["Attributes"]["MessageGroupId"] for one in answer["Messages"]}

    assert groups(urls[3]) == {tenant: tenant for tenant in tenants}
    assert groups(urls[1]) == {"alone": "alone"}
