"""Sessions whose next queued message somebody waits for."""

from __future__ import annotations

import asyncio

import pytest

from midstream.ids import SessionId
from midstream.sessions.opening.due_turns import MAX_MET, DueTurns

pytestmark = pytest.mark.anyio


async def test_each_session_comes_once_in_the_order_in_which_it_was_met() -> None:
    due = DueTurns()
    waiting = asyncio.create_task(due.next())
    await asyncio.sleep(0)
    for name in ("a", "b", "a"):
        due.meet(SessionId(name))
    assert [await waiting, await due.next()] == ["a", "b"]
    due.meet(SessionId("a"))
    assert await due.next() == "a"


async def test_sessions_beyond_the_bound_are_left_to_the_hint() -> None:
    due = DueTurns()
    for number in range(MAX_MET + 1):
        due.meet(SessionId(f"s{number}"))
    met = [await due.next() for _ in range(MAX_MET)]
    assert met[-1] == f"s{MAX_MET - 1}"
    last = asyncio.create_task(due.next())
    await asyncio.sleep(0)
    assert not last.done()
    last.cancel()
