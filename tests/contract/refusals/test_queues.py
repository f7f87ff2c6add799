"""A queue answers 200 with failures inside: each message's sender hears of its own."""

from typing import Any

import pytest

from tasklane.adapters.memory import ManualClock
from tasklane.adapters.sqs import SqsMessageSource, SqsTaskQueue
from tasklane.errors import Unavailable
from tasklane.task import Status
from tests.contract.refusals.conftest import URLS, refused, stubbed, throttled
from tests.support.builders import NOW, a_message, a_task

# -- no answer at all --------------------------------------------------------------------------------------------------


def test_dead_letters_are_held_for_the_time_that_was_asked_for() -> None:
    with stubbed("sqs") as (client, stub):
        wanted = {"QueueUrl": URLS[3], "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1, "VisibilityTimeout": 60}
        stub.add_response("receive_message", {}, wanted)

        assert SqsMessageSource(lambda: client, URLS, hold_seconds=60).receive(3, 25, 1) == []


# -- queues: 200 with failures inside ----------------------------------------------------------------------------------


def test_messages_that_a_queue_did_not_take_are_told_from_those_it_took() -> None:
    messages = [a_message() for _ in range(13)]
    with stubbed("sqs") as (client, stub):
        failure = {"SenderFault": False, "Code": "ServiceUnavailable", "Message": "…"}
        first = {
            "Successful": [sent(n) for n in (0, 1, 3, 4, 5, 6, 9)],
            "Failed": [{"Id": str(n), **failure} for n in (2, 7)],  # nothing is said of 8
        }
        stub.add_response("send_message_batch", first)
        stub.add_response("send_message_batch", {"Successful": [sent(n) for n in range(3)], "Failed": []})

        answers = SqsTaskQueue(client, URLS, ManualClock()).send(messages)

    assert [position for position, answer in enumerate(answers) if answer is not None] == [2, 7, 8]
    assert "ServiceUnavailable" in str(answers[2])


def sent(number: int) -> dict[str, str]:
    return {"Id": str(number), "MessageId": f"m-{number}", "MD5OfMessageBody": "0" * 32}


def test_lanes_answer_in_the_order_of_the_messages() -> None:
    low, high = a_message(a_task(priority=1)), a_message(a_task(priority=5))
    with stubbed("sqs") as (client, stub):
        throttled(stub, "send_message")  # lane 1 is sent first
        stub.add_response("send_message", {"MessageId": "m", "MD5OfMessageBody": "0" * 32})

        assert refused(SqsTaskQueue(client, URLS, ManualClock()).send([high, low])) == [False, True]


def test_a_delay_is_rounded_up_and_no_longer_than_a_queue_allows() -> None:
    clock = ManualClock(NOW)
    delays = {NOW - 1: None, NOW + 1: 1, NOW + 1001: 2, NOW + 899_001: 900, NOW + 5_000_000: 900}
    for run_at, seconds in delays.items():
        message = a_message(a_task(status=Status.SCHEDULED, run_at=run_at))
        with stubbed("sqs") as (client, stub):
            wanted: dict[str, Any] = {
                "QueueUrl": URLS[3],
                "MessageBody": message.to_json(),
                "MessageGroupId": "default",
            }
            wanted |= {} if seconds is None else {"DelaySeconds": seconds}
            stub.add_response("send_message", {"MessageId": "m", "MD5OfMessageBody": "0" * 32}, wanted)

            assert SqsTaskQueue(client, URLS, clock).send([message]) == [None]


def test_messages_that_were_not_acknowledged_or_released_raise() -> None:
    failed = {"Successful": [], "Failed": [{"Id": "0", "SenderFault": True, "Code": "ReceiptHandleIsInvalid"}]}
    with stubbed("sqs") as (client, stub):
        source = SqsMessageSource(lambda: client, URLS)
        stub.add_response("delete_message_batch", failed)
        with pytest.raises(Unavailable, match="ReceiptHandleIsInvalid"):
            source.acknowledge(1, ["handle"])
        stub.add_response("change_message_visibility_batch", failed)
        with pytest.raises(Unavailable, match="ReceiptHandleIsInvalid"):
            source.release(1, ["handle"], 0)
