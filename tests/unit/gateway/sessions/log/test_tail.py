"""Those that wait at the end of a log."""

from __future__ import annotations

import asyncio

import pytest

from midstream.sessions.log.tail import Tail

pytestmark = pytest.mark.anyio


class Waiter:
    """A task that waits at a tail, and takes the first `room` items that it is handed."""

    def __init__(self, tail: Tail[int, str], room: int) -> None:
        self.taken: list[int] = []
        self._room = room
        self.task = asyncio.create_task(tail.wait_taking(self._take))

    def _take(self, item: int) -> bool:
        if len(self.taken) == self._room:
            return False
        self.taken.append(item)
        return True


async def turns() -> None:
    """Let all tasks run until they wait."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_item_wakes_only_the_tasks_that_do_not_take_it() -> None:
    """One takes all, one has room for one, one only waits."""
    tail: Tail[int, str] = Tail()
    takes_all, takes_one = Waiter(tail, 9), Waiter(tail, 1)
    waits = asyncio.ensure_future(tail.wait())
    await turns()

    tail.hand(1, "after 1")
    await turns()
    assert (takes_all.task.done(), takes_one.task.done(), waits.done()) == (False, False, True)

    tail.hand(2, "after 2")
    tail.hand(3, "after 3")
    await turns()
    assert (takes_all.task.done(), takes_one.task.done()) == (False, True)
    assert (takes_all.taken, takes_one.taken) == ([1, 2, 3], [1])
    takes_all.task.cancel()


async def test_task_learns_where_the_log_stood_behind_what_was_taken_for_it() -> None:
    """Refused or woken, with what had come before it waited or without; None: nothing was taken."""
    tail: Tail[int, str] = Tail()
    refused_at_once, refused_later = Waiter(tail, 0), Waiter(tail, 1)
    await turns()
    tail.hand(1, "after 1")
    tail.hand(2, "after 2")
    joined = Waiter(tail, 9)
    await turns()
    tail.hand(3, "after 3")
    idle = Waiter(tail, 9)
    await turns()
    tail.send()
    tail.hand(4, "after 4")
    waiters = [refused_at_once, refused_later, joined, idle]

    assert [await waiter.task for waiter in waiters] == [
        None,
        "after 1",
        "after 3",
        None,
    ]


async def test_pulse_wakes_everyone_and_hands_nothing_on_after_that() -> None:
    """A woken task takes its items itself, when it runs."""
    tail: Tail[int, str] = Tail()
    waiters = [Waiter(tail, 9), Waiter(tail, 9)]
    await turns()

    tail.send()
    tail.hand(1, "after 1")
    await turns()

    assert all(waiter.task.done() for waiter in waiters)
    assert [waiter.taken for waiter in waiters] == [[], []]


async def test_task_whose_wait_was_cancelled_is_handed_nothing() -> None:
    """Its reader may be closed already."""
    tail: Tail[int, str] = Tail()
    waiter = Waiter(tail, 9)
    await turns()

    waiter.task.cancel()
    await turns()
    tail.hand(1, "after 1")

    assert waiter.task.cancelled()
    assert waiter.taken == []
