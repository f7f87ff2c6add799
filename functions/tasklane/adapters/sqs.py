"""Lanes and the callback queue on SQS standard queues.

MessageGroupId is the tenant: it makes a standard queue a fair one
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html).
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from tasklane.errors import Unavailable
from tasklane.message import CallbackMessage, TaskMessage
from tasklane.ports import Clock, Delivery, Depth

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

ENTRIES: Final = 10
"""The most messages one batch request takes."""
COUNTS: Final[Any] = [f"ApproximateNumberOfMessages{which}" for which in ("", "Delayed", "NotVisible")]
"""What a queue knows of its messages: those to be received, those for later, those that somebody has."""
CALLBACKS: Final = 0
"""What a message source calls the callback queue, next to lanes 1 to 5."""


class SqsTaskQueue:
    """Sends down the lanes; ``urls`` are the lanes' queues by priority."""

    def __init__(self, client: "SQSClient", urls: Mapping[int, str], clock: Clock) -> None:
        self._client = client
        self._urls = urls
        self._clock = clock

    def send(self, messages: Sequence[TaskMessage]) -> list[Unavailable | None]:
        """See TaskQueue."""
        answers: dict[int, Unavailable | None] = {}
        now = self._clock.now()
        for priority, url in self._urls.items():
            positions = [i for i, message in enumerate(messages) if message.priority == priority]
            entries = [_entry(messages[i], now) for i in positions]
            answers |= dict(zip(positions, _send(self._client, url, entries), strict=True))
        return [answers[i] for i in range(len(messages))]

    def check(self) -> None:
        """See TaskQueue."""
        for url in self._urls.values():
            _check(self._client, url)


class SqsCallbackQueue:
    """Sends to the callback function's queue."""

    def __init__(self, client: "SQSClient", url: str, clock: Clock) -> None:
        self._client = client
        self._url = url
        self._clock = clock

    def send(self, messages: Sequence[CallbackMessage]) -> list[Unavailable | None]:
        """See CallbackQueue."""
        now = self._clock.now()
        return _send(self._client, self._url, [_entry(message, now) for message in messages])

    def check(self) -> None:
        """See CallbackQueue."""
        _check(self._client, self._url)


class SqsMessageSource:
    """The receiver's side of the queues; ``urls`` by lane, the callback queue under 0.

    ``client`` is asked for the client when it is first needed: most batches of a Lambda need none. ``hold_seconds`` is
    how long nobody else sees what was received; None: as the queue says.
    """

    def __init__(
        self, client: "Callable[[], SQSClient]", urls: Mapping[int, str], *, hold_seconds: int | None = None
    ) -> None:
        self._client = client
        self._urls = urls
        self._hold: Any = {} if hold_seconds is None else {"VisibilityTimeout": hold_seconds}
        self._hold_seconds = {} if hold_seconds is None else dict.fromkeys(urls, hold_seconds)

    def receive(self, lane: int, limit: int, wait_seconds: int) -> list[Delivery]:
        """See MessageSource."""
        try:
            answer = self._client().receive_message(
                QueueUrl=self._urls[lane],
                MaxNumberOfMessages=min(limit, ENTRIES),
                WaitTimeSeconds=wait_seconds,
                **self._hold,
            )
        except (ClientError, BotoCoreError) as exc:
            raise Unavailable(f"lane {lane} could not be received from: {exc}") from exc
        return [
            Delivery(handle=one["ReceiptHandle"], body=one["Body"], message_id=one["MessageId"])
            for one in answer.get("Messages", ())
        ]

    def acknowledge(self, lane: int, handles: Sequence[str]) -> None:
        """See MessageSource."""
        entries: Any = [{"Id": str(i), "ReceiptHandle": handle} for i, handle in enumerate(handles)]
        try:
            answer = self._client().delete_message_batch(QueueUrl=self._urls[lane], Entries=entries)
        except (ClientError, BotoCoreError) as exc:
            raise Unavailable(f"messages of lane {lane} could not be acknowledged: {exc}") from exc
        _all_taken(answer)

    def extend(self, lane: int, handles: Sequence[str]) -> int:
        """See MessageSource."""
        seconds = self._hold_seconds.get(lane)
        if seconds is None:
            seconds = self._hold_seconds[lane] = self._visibility_seconds(lane)
        self._hide(lane, handles, seconds)
        return seconds

    def release(self, lane: int, handles: Sequence[str], delay_seconds: int) -> None:
        """See MessageSource."""
        self._hide(lane, handles, delay_seconds)

    def _hide(self, lane: int, handles: Sequence[str], seconds: int) -> None:
        entries: Any = [
            {"Id": str(i), "ReceiptHandle": handle, "VisibilityTimeout": seconds} for i, handle in enumerate(handles)
        ]
        try:
            answer = self._client().change_message_visibility_batch(QueueUrl=self._urls[lane], Entries=entries)
        except (ClientError, BotoCoreError) as exc:
            raise Unavailable(f"the visibility of messages of lane {lane} could not be changed: {exc}") from exc
        _all_taken(answer)

    def _visibility_seconds(self, lane: int) -> int:
        names: Any = ["VisibilityTimeout"]
        try:
            answer = self._client().get_queue_attributes(QueueUrl=self._urls[lane], AttributeNames=names)
        except (ClientError, BotoCoreError) as exc:
            raise Unavailable(f"lane {lane} does not say for how long it hides messages: {exc}") from exc
        return int(answer["Attributes"]["VisibilityTimeout"])


class SqsQueueDepths:
    """Asks the queues of lanes and callbacks, and their dead-letter queues; each ``urls`` as a message source's."""

    def __init__(self, client: "SQSClient", urls: Mapping[int, str], dead_letter_urls: Mapping[int, str]) -> None:
        self._client = client
        self._urls = urls
        self._dead_letter_urls = dead_letter_urls

    def depths(self, lanes: Sequence[int]) -> list[Depth]:
        """See QueueDepths."""
        urls = [self._urls[lane] for lane in lanes] + [self._dead_letter_urls[lane] for lane in lanes]
        with ThreadPoolExecutor(max_workers=6, thread_name_prefix="depths") as pool:
            counts = list(pool.map(self._counts, urls))
        return [
            Depth(waiting=own[0], delayed=own[1], in_flight=own[2], dead_letters=sum(dead))
            for own, dead in zip(counts[: len(lanes)], counts[len(lanes) :], strict=True)
        ]

    def _counts(self, url: str) -> list[int]:
        try:
            answer = self._client.get_queue_attributes(QueueUrl=url, AttributeNames=COUNTS)
        except (ClientError, BotoCoreError) as exc:
            raise Unavailable(f"the queue {url.rpartition('/')[2]} did not answer: {exc}") from exc
        return [int(answer["Attributes"][name]) for name in COUNTS]


def _entry(message: TaskMessage | CallbackMessage, now: int) -> dict[str, Any]:
    entry: dict[str, Any] = {"MessageBody": message.to_json(), "MessageGroupId": message.tenant}
    delay = message.delay_seconds(now)
    return entry | {"DelaySeconds": delay} if delay else entry


def _send(client: "SQSClient", url: str, entries: Sequence[dict[str, Any]]) -> list[Unavailable | None]:
    if len(entries) == 1:
        try:
            client.send_message(QueueUrl=url, **entries[0])
        except (ClientError, BotoCoreError) as exc:
            return [Unavailable(f"the queue did not take the message: {exc}")]
        return [None]
    answers: list[Unavailable | None] = []
    for start in range(0, len(entries), ENTRIES):
        answers += _send_batch(client, url, entries[start : start + ENTRIES])
    return answers


def _send_batch(client: "SQSClient", url: str, entries: Sequence[dict[str, Any]]) -> list[Unavailable | None]:
    numbered: Any = [{"Id": str(i), **entry} for i, entry in enumerate(entries)]
    try:
        answer = client.send_message_batch(QueueUrl=url, Entries=numbered)
    except (ClientError, BotoCoreError) as exc:
        return [Unavailable(f"the queue did not take the messages: {exc}")] * len(entries)
    # 200 does not mean that every message was taken.
    taken = {int(one["Id"]) for one in answer.get("Successful", ())}
    failed = {int(one["Id"]): one["Code"] for one in answer.get("Failed", ())}
    return [
        None if i in taken else Unavailable(f"the queue did not take the message: {failed.get(i, 'no answer')}")
        for i in range(len(entries))
    ]


def _all_taken(answer: Any) -> None:
    if answer.get("Failed"):
        raise Unavailable(f"some messages were refused: {answer['Failed'][0].get('Code')}")


def _check(client: "SQSClient", url: str) -> None:
    try:
        client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    except (ClientError, BotoCoreError) as exc:
        raise Unavailable(f"the queue {url.rpartition('/')[2]} did not answer: {exc}") from exc
