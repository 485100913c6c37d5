"""A process's reports of its followers, and their times."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from midstream.ids import SessionId, UserId
from midstream.sessions.log.presence import Presence

if TYPE_CHECKING:
    from midstream.store.contract import SessionStore

HOUR_S = 3600.0
CHAT, ADA = SessionId("chat"), UserId("ada")


class Said:
    """The part of a store that takes the reports."""

    def __init__(self) -> None:
        self.tabs: list[int] = []
        self.gone = asyncio.Event()

    async def announce(self, *_: object, tabs: int, lifetime_ms: int) -> None:
        """Note it."""
        self.tabs.append(tabs)
        if not tabs:
            self.gone.set()

    def presence(self, repeat_s: float) -> Presence:
        """Return a presence that tells us."""
        return Presence(cast("SessionStore", self), repeat_s=repeat_s)


def test_follower_that_connects_again_is_not_said_to_have_left() -> None:
    """For another number of tabs, or because its connection broke."""
    said = Said()

    async def connect_twice() -> None:
        presence = said.presence(HOUR_S)
        async with presence.open(CHAT, ADA, 3):
            pass
        async with presence.open(CHAT, ADA, 4), presence.open(CHAT, ADA):
            pass

    asyncio.run(connect_twice())
    assert said.tabs == [3, 4, 5, 4]


def test_follower_that_has_left_is_missed_by_the_next_repetition() -> None:
    """Once: then nothing is said of it any more."""
    said = Said()

    async def leave_and_wait() -> None:
        presence = said.presence(0)
        async with presence.open(CHAT, ADA):
            pass
        repeating = asyncio.create_task(presence.run())
        await said.gone.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        repeating.cancel()
        await asyncio.gather(repeating, return_exceptions=True)

    asyncio.run(leave_and_wait())
    assert said.tabs == [1, 0]


def test_process_that_ends_says_who_has_left() -> None:
    """They are somewhere else by then, and would be counted twice until it runs out."""
    said = Said()

    async def leave_and_end() -> None:
        presence = said.presence(HOUR_S)
        repeating = asyncio.create_task(presence.run())
        async with presence.open(CHAT, ADA):
            await asyncio.sleep(0)
        repeating.cancel()
        await asyncio.gather(repeating, return_exceptions=True)

    asyncio.run(leave_and_end())
    assert said.tabs == [1, 0]
