"""What is drawn at random in the stateful test, and what callers make of it."""

from collections.abc import Mapping, MutableMapping
from dataclasses import replace
from typing import Any, Final

from hypothesis import strategies as st

from tasklane.line import lane_target, type_target
from tasklane.submit import Submission
from tasklane.task import REOPENINGS, CallbackEvent, Task
from tasklane.throttle import Rate
from tests.faults.stateful_handlers import PAD, STEPS
from tests.faults.stateful_held import Order
from tests.faults.stateful_lines import KEYS
from tests.faults.stateful_ports import Kind, Trouble

DAY: Final = 86_400
JUMPS: Final = (-20, -1, 1, 10, 45, 100, 400, 1000, 4000, DAY, 3 * DAY, 45 * DAY)
PORTS: Final = ("put", "get", "claim", "save", "renew", "due", "line", "lanes", "callbacks", "blob", "post")
CONTROL_PORTS: Final = ("pauses", "limits", "slots", "notes", "dead")
TARGETS: Final = (lane_target(3), lane_target(5), *map(type_target, ("plain", "async", "external")))
"""What is paused now and then."""
RATES: Final = (
    Rate(count=5, period_ms=10_000),
    Rate(count=2, period_ms=60_000, burst=2),
    Rate(count=1, period_ms=600_000),
    Rate(count=1, period_ms=3_000_000),
)
"""From starts that a worker waits for to such as are further off than a queue can carry."""

numbers = st.integers(0, 23)
orders = st.lists(numbers, min_size=1, max_size=6)
delays = st.sampled_from([0, 1, 30, 890, 900, 901, 3600, 40 * DAY, 300 * DAY])
priorities = st.none() | st.integers(1, 5)
troubles = st.none() | st.builds(
    Trouble,
    port=st.sampled_from(PORTS + CONTROL_PORTS),
    kind=st.sampled_from(Kind),
    whom=st.integers(1, 7),
    times=st.integers(1, 5),
)
holding = st.sampled_from([False, False, True])
answers = st.sampled_from([200, 200, 204, 500, 429, 410, 302, 0, 1])
orders_to_held = st.lists(st.sampled_from([*Order, Order.GO, Order.GO]), max_size=4)
outside_words = st.sampled_from(["complete", "complete", "fail", "heartbeat"])
"""What external workers say."""
targets = st.sampled_from(TARGETS)
keys = st.sampled_from(KEYS)
rates = st.sampled_from(RATES)
_concurrent = {"max_concurrent": st.sampled_from([0, 1, 1, 2]), "rate": st.none()}
_rated = {"max_concurrent": st.sampled_from([None, None, 1, 2]), "rate": st.sampled_from(RATES)}
limits = st.fixed_dictionaries(_concurrent) | st.fixed_dictionaries(_rated)
other_limits = st.one_of(limits, limits, st.just({"max_concurrent": None, "rate": None}))
"""What a limit is changed to; neither of both: it is removed."""
happenings = st.sampled_from(["work", "work", "work twice", "wait", "lose", "limit", "pause", "resume"])
"""What others do while one of a crowd is held on its way."""
actions = st.sampled_from(["cancel", "retry", "redeliver", "reschedule"])
changes = st.fixed_dictionaries({"delay": delays, "priority": priorities})
wishes = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["plain", "plain", "async", "external"]),
        "steps": st.lists(st.sampled_from(STEPS), max_size=4),
        "large": st.booleans(),
        "delay_seconds": st.sampled_from([None, 0, 1]) | delays,
        "expires_in": st.sampled_from([None, None, None, 1, 20, 600, 60 * DAY]),
        "callback": st.sampled_from([None, 200, 200, 500, 410]),
        "events": st.sampled_from([(), tuple(CallbackEvent)]),
        "max_attempts": st.none() | st.integers(1, 4),
        "timeout_seconds": st.sampled_from([20, 60, 300, 900]),
        "priority": priorities,
        "retry": st.none() | st.sampled_from([{"pauses": [0]}, {"pauses": [1, 1000]}, {"max_age_seconds": 3000}]),
        "throttle_keys": st.sampled_from([(), KEYS[:1], KEYS[:1], KEYS[1:], KEYS]),
        "key": st.none() | st.sampled_from(["a", "b"]),
        "differs": st.booleans(),
    }
)


def a_submission(wish: Mapping[str, Any], now: int, asked: MutableMapping[str, Submission]) -> Submission:
    """The submission for a wish; under a key that was used before, what was ``asked`` then, or almost."""
    wish = dict(wish)
    steps, large, differs = wish.pop("steps"), wish.pop("large"), wish.pop("differs")
    key, callback, expires_in = wish.pop("key"), wish.pop("callback"), wish.pop("expires_in")
    events = wish.pop("events")
    if wish["type"] == "external":
        wish["throttle_keys"] = ()
    start = now + (wish["delay_seconds"] or 0) * 1000
    new = Submission(
        **wish,
        payload={"steps": steps, "pad": PAD if large else ""},
        expires_at=None if expires_in is None else start + expires_in * 1000,
        callback_url=None if callback is None else f"https://hooks.example.com/{callback}",
        callback_events=() if callback is None else events,
        idempotency_key=key,
        request_hash=None if key is None else "this",
    )
    if key is None:
        return new
    first = asked.setdefault(key, new)
    return replace(first, request_hash="other") if differs else first


def to_start_now(wish: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A wish for a task that a worker starts at once, if the limit of a key lets it."""
    here = {"type": "async" if wish["type"] == "async" else "plain", "delay_seconds": None, "key": None}
    both = wish["throttle_keys"] == KEYS
    return {**wish, **here, "throttle_keys": KEYS if both else (key,)}


def is_allowed(task: Task, action: str) -> bool:
    """Whether somebody may do this to a task."""
    match action:
        case "cancel":
            return not task.status.final
        case "retry":
            return task.status in REOPENINGS
        case "reschedule":
            return task.status.waiting
        case _:
            return task.status.final and task.callback is not None
