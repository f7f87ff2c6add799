"""The rows of docs/reliability.md: each is a test, marked with the row's name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Row:
    """What breaks, which promises that touches, and how the test breaks it."""

    fault: str
    promises: str
    how: str


ROWS: Final[Mapping[str, Row]] = {
    "worker-killed": Row(
        fault="A worker is killed in mid-task",
        promises="1, 2, 3",
        how="SIGKILL to the process while it runs ten handlers; another worker and the sweeper carry on.",
    ),
    "worker-frozen": Row(
        fault="A worker freezes past its lease and comes back",
        promises="2, 3",
        how="SIGSTOP in mid-handler until another worker has completed the task, then SIGCONT: its outcome is refused.",
    ),
    "handler-crash": Row(
        fault="A handler takes the worker process down, every time",
        promises="1, 3",
        how="os._exit in one of a batch of ten. The nine complete; the tenth fails when its attempts are used up.",
    ),
    "leaked-threads": Row(
        fault="Handlers that leave threads behind",
        promises="1, 3",
        how="300 of them in each of six tasks, among thirty others: a worker with more than 256 ends itself.",
    ),
    "printing": Row(
        fault="Handlers that print megabytes",
        promises="1",
        how="20 MB in lines and a line of 1 MB in each of two tasks, beside thirty others.",
    ),
    "wide-result": Row(
        fault="Results with a million keys",
        promises="1, 5",
        how="One of a million keys (15 MB), which fails its task at once, and one of 300,000, beside thirty others.",
    ),
    "silent-receiver": Row(
        fault="Receivers that never answer",
        promises="4",
        how="Of forty callbacks ten go to one that says nothing, and ten to one that drips its headers byte by byte.",
    ),
    "overrun": Row(
        fault="Handlers that never end",
        promises="1, 3",
        how="Twelve plain handlers wait for ever, among twenty others: they fail at their time limit, and a worker in "
        "which five of them are left ends itself.",
    ),
    "dies-api": Row(
        fault="The API is killed between two steps",
        promises="1, 2",
        how="SIGKILL between each two of its steps, named below; callers repeat what was not answered.",
    ),
    "dies-worker": Row(
        fault="A worker is killed between two steps",
        promises="1, 2, 3",
        how="SIGKILL between each two of its steps, named below, those of a handler's context among them.",
    ),
    "dies-callbacks": Row(
        fault="The callback function is killed between two steps",
        promises="2, 4",
        how="SIGKILL between each two of its steps, named below, its POST among them.",
    ),
    "dies-sweeper": Row(
        fault="The sweeper is killed between two steps",
        promises="1, 2, 4",
        how="SIGKILL between each two of its steps, named below, with what was lost, late, owed or expired.",
    ),
    "dies-cleaner": Row(
        fault="The cleaner is killed between two steps",
        promises="1",
        how="SIGKILL before and after it removes a task's documents; the stream hands out its record again.",
    ),
    "dies-inside": Row(
        fault="A process is killed inside a step",
        promises="1, 2, 3",
        how="SIGKILL before and after each of the three requests by which the sweeper sends 25 tasks.",
    ),
    "send-refused": Row(
        fault="The lane refuses to take messages",
        promises="1",
        how="Every SendMessage is refused while the API answers 202; the sweeper sends when the lane is back.",
    ),
    "send-partly": Row(
        fault="A batch of sends is refused in part",
        promises="1, 3",
        how="The sweeper's SendMessageBatch is answered 200 with failures inside; half of them were sent all the same.",
    ),
    "send-answer-lost": Row(
        fault="The answers to put, send, claim and outcome get lost",
        promises="2, 3",
        how="The engine acts, the connection is cut without an answer, the SDK repeats the request.",
    ),
    "read-timeout": Row(
        fault="The engine does not answer in time",
        promises="1, 2, 3, 4",
        how="Of a task with a callback each request in turn is held back until its client's read timeout has passed: "
        "put, send, receive, claim, save, delete and those of the callback, before the engine acts and after it did.",
    ),
    "outage": Row(
        fault="Table and queues do not answer for some seconds",
        promises="1, 3",
        how="Every request is refused while ten handlers end; their outcomes are written afterwards, none runs again.",
    ),
    "outage-long": Row(
        fault="The table takes no writes for longer than a lease",
        promises="1, 3",
        how="Every write is throttled while ten handlers end, their leases run out and the sweeper comes; the worker "
        "goes on trying, and none runs again.",
    ),
    "message-doubled": Row(
        fault="A message is sent twice and received twice",
        promises="2, 3",
        how="Every send reaches the lane twice, every receive is doubled and shuffled; two workers.",
    ),
    "message-at-once": Row(
        fault="Two workers hold the same message at once",
        promises="2, 3",
        how="Two workers begin the same batch behind a barrier.",
    ),
    "poison": Row(
        fault="Poison messages",
        promises="5",
        how="Bodies that no Tasklane wrote, in a batch with good ones; they end in the dead-letter queue.",
    ),
    "dead-letters": Row(
        fault="Messages are given up after five receives",
        promises="1, 3",
        how="Every claim is refused until all messages are dead letters; then a redrive over the API, and no sweeper.",
    ),
    "dead-callbacks": Row(
        fault="Callbacks are given up after five receives",
        promises="4",
        how="Every message is received five times and never acknowledged; then a redrive.",
    ),
    "dies-redrive": Row(
        fault="A process dies between two steps: redrive",
        promises="1, 3, 5",
        how="SIGKILL before and after each of receive, read, write, send, removal, giving back of what is poison.",
    ),
    "bad-input": Row(
        fault="Bad input",
        promises="5",
        how="What cannot be accepted is answered with a problem document; a result that is no JSON ends a failed task.",
    ),
    "backlog": Row(
        fault="20,000 tasks wait for six hours",
        promises="1, 3",
        how="In memory: the sweeper comes every minute, and sends each task again six times in all, as the pauses "
        "double. Then all 140,000 messages are worked off in random order.",
    ),
    "backlog-engine": Row(
        fault="A backlog that waits far longer than the recovery window",
        promises="1, 3",
        how="Nobody works for 24 windows, each with a sweep: four more sends a task. Then two workers take it all.",
    ),
    "large-bodies": Row(
        fault="Request bodies that are too large",
        promises="5",
        how="Twenty of 10 MiB at once, half of them of unknown length, and twenty of 5 MiB that fit, while others "
        "go on submitting; the API's process takes less than 350 MB for it.",
    ),
    "slow-clients": Row(
        fault="Slow clients",
        promises="1",
        how="300 requests whose headers, and 100 whose bodies come byte by byte (slowloris), while others submit.",
    ),
    "record-unreadable": Row(
        fault="A record that this version cannot read",
        promises="1, 5",
        how="An item with an unknown status is due, in every shard, before the tasks that lost their messages.",
    ),
    "two-sweepers": Row(
        fault="Two sweepers at once",
        promises="2, 3",
        how="Two processes sweep the same 200 due tasks at the same moment: each is sent once.",
    ),
    "clock-near": Row(
        fault="Clocks differ by a few seconds",
        promises="3",
        how="The sweeper's clock is 4 s ahead of the worker's, at the end of the lease: the run is left alone.",
    ),
    "clock-far": Row(
        fault="Clocks differ by ten minutes",
        promises="2, 3",
        how="One worker ten minutes ahead, one ten minutes behind, the sweeper in between.",
    ),
    "pull-workers": Row(
        fault="External workers die, or are late, while requests are broken",
        promises="1, 2, 3",
        how="Twenty workers at one queue: a fifth of the first attempts is never heard of again, a seventh is late; "
        "a tenth of all requests is broken. No lease is given to two of them.",
    ),
    "paused": Row(
        fault="A lane is paused while tasks come and a worker dies",
        promises="1, 2, 3",
        how="60 tasks, a third of them with tripled messages; one of two workers is killed while it holds them back. "
        "None starts; resumed, each runs once, the first within seconds.",
    ),
    "slot-held-by-the-dead": Row(
        fault="Workers die while they hold the slots of a limit",
        promises="1, 3",
        how="SIGKILL to both while three tasks of a key that allows three run and nine wait: the slots come back with "
        "the leases, nobody is stranded.",
    ),
    "slots-under-fire": Row(
        fault="Limits at a fault rate of a fifth",
        promises="1, 2, 3",
        how="60 tasks of two keys that conflict, a quarter of them failing first, every fifth request broken, one "
        "worker killed: never more than three of a key at once, and every slot given back.",
    ),
    "indexes-lag": Row(
        fault="The table's indexes lag behind",
        promises="1, 3",
        how="In memory, by a second: 60 tasks of a key that allows four, three processes. There are never more than "
        "four; a slot that was freed before an index showed who waits for it is left to the sweeper, if to nobody "
        "else.",
    ),
    "storm": Row(
        fault="Everything at once",
        promises="1, 2, 3, 4, 5, 6",
        how="1,000 tasks of every kind: that fail first or for good, overrun, go on with their state, expire, are "
        "cancelled, rescheduled, retried by hand, limited, of a paused lane, for external workers. A fifth of all "
        "requests is broken, in every way there is; one of two workers is killed; receivers answer 500, 410 or never; "
        "poison lies in the lanes; callbacks and downloads are to go to private addresses.",
    ),
    "receiver-down": Row(
        fault="A receiver that is down for three days",
        promises="4",
        how="Every try is answered 503, and tasks are kept for one day only: this one, until it is listed.",
    ),
    "outbound": Row(
        fault="A callback to an address that is not public",
        promises="6",
        how="A real server listens on loopback: nobody connects to it, and the callback is recorded with the reason.",
    ),
    "delay-short": Row(
        fault="A delay of one second",
        promises="–",
        how="Nothing is broken, no clock is set: tasks are submitted one after the other, two workers poll.",
    ),
    "delay-queue": Row(
        fault="A delay of 14 minutes",
        promises="–",
        how="The queue carries it. The clock is set ahead, a minute at a time, and the sweeper comes in each; the last "
        "seconds pass by themselves.",
    ),
    "delay-index": Row(
        fault="A delay of 16 minutes",
        promises="–",
        how="It waits in the index until the sweeper sends it with the exact rest. The clock is set ahead as above.",
    ),
    "next-attempt": Row(
        fault="From a crash to the next attempt",
        promises="1, 3",
        how="SIGKILL to a worker that runs ten handlers of at most 10 s; no clock is set. Their leases last for 25 s, "
        "the sweeper adds 5 s for clocks that differ, and comes every second here.",
    ),
}
