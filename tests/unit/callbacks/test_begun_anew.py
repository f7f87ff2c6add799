"""A callback begins anew, maybe while a try is under way: every try stays known, under a number of its own."""

import threading
from collections.abc import Callable

from tasklane.errors import Unavailable
from tasklane.ports import HttpResponse
from tasklane.task import Callback, CallbackState, CallbackTry, Status, Task
from tests.support.installation import Installation
from tests.unit.callbacks.conftest import OK, URL, callback, ended, status


def tries(home: Installation, task: Task) -> list[tuple[int, int | None]]:
    return [(one.number, one.status_code) for one in callback(home, task).history]


def meanwhile(home: Installation, *actions: Callable[[], object]) -> None:
    """While the next posts are under way, these happen, one in each."""
    post, left = home.http._answer, list(actions)

    def answer(url: str) -> HttpResponse:
        assert post is not None
        answered = post(url)
        if left:
            left.pop(0)()
        return answered

    home.http._answer = answer


def test_the_tries_of_all_schedules_are_numbered_on(receiving: Callable[..., Installation]) -> None:
    home = receiving(status(500), status(410), status(500), OK)
    task = ended(home)
    home.deliver()
    home.clock.advance(6)
    home.deliver()

    home.services.manage.redeliver(task.id)
    assert callback(home, task).tries == 0
    home.deliver()
    home.clock.advance(6)
    home.deliver()

    assert tries(home, task) == [(1, 500), (2, 410), (3, 500), (4, 200)]
    assert (callback(home, task).state, callback(home, task).tries) == (CallbackState.DELIVERED, 2)


def test_a_try_that_ends_after_its_callback_began_anew_is_recorded(receiving: Callable[..., Installation]) -> None:
    home = receiving(status(500), OK)
    task = ended(home)
    meanwhile(home, lambda: home.services.manage.redeliver(task.id))

    home.deliver()

    assert tries(home, task) == [(1, 500)]
    assert (callback(home, task).state, callback(home, task).tries) == (CallbackState.PENDING, 0)
    home.deliver()
    assert tries(home, task) == [(1, 500), (2, 200)]
    assert callback(home, task).state is CallbackState.DELIVERED
    assert len(home.http.posted) == 2


def test_a_delivery_says_nothing_about_the_one_that_was_asked_for_meanwhile(
    receiving: Callable[..., Installation],
) -> None:
    home = receiving(OK, status(500))
    task = ended(home)
    meanwhile(home, lambda: home.services.manage.redeliver(task.id))

    home.deliver()
    home.deliver()

    assert tries(home, task) == [(1, 200), (2, 500)]
    waiting = callback(home, task)
    assert (waiting.state, waiting.tries) == (CallbackState.PENDING, 1)
    assert waiting.next_at > home.clock.now()


def test_of_two_tries_at_once_each_is_recorded_and_the_later_one_decides(
    receiving: Callable[..., Installation],
) -> None:
    home = receiving(OK)
    task = ended(home)
    second_posts, first_is_over = threading.Event(), threading.Event()
    answers = iter([status(500), OK])

    def second() -> None:
        home.deliver()

    thread = threading.Thread(target=second)

    def answer(url: str) -> HttpResponse:
        mine = next(answers)
        if mine.status_code == 500:
            home.services.manage.redeliver(task.id)
            thread.start()
            assert second_posts.wait(20)
        else:
            second_posts.set()
            assert first_is_over.wait(20)
        return mine

    home.http._answer = answer
    home.deliver()
    assert tries(home, task) == [(1, 500)]
    first_is_over.set()
    thread.join(20)

    assert tries(home, task) == [(1, 500), (2, 200)]
    assert callback(home, task).state is CallbackState.DELIVERED
    assert home.task(task).due_at is None


def test_a_try_about_an_outcome_that_was_taken_back_is_recorded_too(receiving: Callable[..., Installation]) -> None:
    home = receiving(OK)
    task = ended(home, "fail")
    meanwhile(home, lambda: home.services.manage.retry(task.id))

    home.deliver()

    waiting = home.task(task)
    assert waiting.callback is not None
    assert (waiting.status, waiting.callback.state) == (Status.PENDING, CallbackState.WAITING)
    assert tries(home, task) == [(1, 200)]
    home.work()
    home.deliver()
    assert tries(home, task) == [(1, 200), (2, 200)]


def test_a_try_that_cannot_be_written_down_is_given_up(receiving: Callable[..., Installation]) -> None:
    home = receiving(OK)
    task = ended(home)

    def the_table_goes() -> None:
        home.services.manage.redeliver(task.id)

        def refuse(_: object) -> dict[str, Task]:
            raise Unavailable("throttled")

        home.store.get = refuse  # type: ignore[method-assign,assignment]

    meanwhile(home, the_table_goes)

    assert home.deliver().delivered == 1

    del home.store.get
    assert (callback(home, task).state, callback(home, task).tries) == (CallbackState.PENDING, 0)


def test_what_an_older_version_numbered_twice_is_numbered_on() -> None:
    history = tuple(CallbackTry(number=number, started_at=1, duration_ms=1) for number in (1, 2, 1))

    anew = Callback(url=URL, tries=1, history=history).begun_anew(CallbackState.PENDING, 5)

    assert (anew.earlier, anew.tries, anew.next_at) == (2, 0, 5)
    assert [one.number for one in anew.with_try(history[0]).history] == [1, 1, 1, 2]
