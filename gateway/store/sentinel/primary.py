"""The server that is the primary now, by the newest word of all Sentinels.

Nothing else tells of a planned failover: the old primary keeps its connections, says that it is a
primary, and acknowledges writes for ten seconds more, all of which are lost. So each Sentinel is
asked twice a second, and sooner when one announces a failover or a server refuses a command.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from redis.exceptions import RedisError

from midstream.aio.pulse import Pulse
from midstream.store.sentinel.link import SentinelLink
from midstream.store.sentinel.words import newest
from midstream.telemetry import quoted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from midstream.settings.redis_url import Address, SentinelUrl
    from midstream.store.sentinel.words import Word

logger = logging.getLogger(__name__)

POLL_S: Final = 0.5
LEAST_S: Final = 0.05
"""Shortest time between two questions to one Sentinel: a failover refuses many commands at once."""
LISTEN_AGAIN_S: Final = 1.0

REMEMBERED_S: Final = 60.0
"""Time for which the word of a Sentinel counts that has not answered since. One that knows of a
failover may be lost before it has told the others; later they know."""
SURE_S: Final = 3.0
"""Time without any answer, after which another server may be the primary."""

_UNASKED: Final = "it was not asked yet"
_FAILURES: Final = (RedisError, OSError, TimeoutError, ValueError)


class _Witness:
    """A Sentinel with its last word, and when it said it; or why it says nothing."""

    def __init__(self, link: SentinelLink) -> None:
        self.link = link
        self.word: Word | None = None
        self.at = 0.0
        self.failure = _UNASKED


class Primary:
    """The primary, watched. Use `watching`."""

    def __init__(self, url: SentinelUrl) -> None:
        self.address: Address | None = None
        """Where it is; None while no Sentinel has told."""
        self.moves: list[Callable[[], Awaitable[None]]] = []
        """Called after another server has become the primary."""
        self._name = url.name
        self._witnesses = [_Witness(SentinelLink(at, url)) for at in url.sentinels]
        self._wake = Pulse()

    @property
    def is_sure(self) -> bool:
        """Whether a Sentinel has answered lately."""
        return time.monotonic() - max(each.at for each in self._witnesses) < SURE_S

    @property
    def down_after_ms(self) -> int:
        """How long it may be silent before a Sentinel has it replaced; 0 if none has told."""
        return max(each.word.down_after_ms if each.word else 0 for each in self._witnesses)

    @property
    def unknown(self) -> str:
        """Why it is not known where the primary is."""
        failures = "; ".join(f"{each.link.at}: {each.failure}" for each in self._witnesses)
        return f"no Sentinel names the primary {self._name} ({failures})"

    def look_again(self) -> None:
        """Ask the Sentinels now."""
        self._wake.send()

    async def ask_all(self) -> None:
        """Ask each Sentinel once."""
        await asyncio.gather(*map(self._ask, self._witnesses))

    async def follow(self) -> None:
        """Ask and listen until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for witness in self._witnesses:
                tasks.create_task(self._keep_asking(witness), name="sentinel questions")
                tasks.create_task(self._keep_listening(witness), name="sentinel announcements")

    async def aclose(self) -> None:
        """Close the connections to the Sentinels."""
        await asyncio.gather(*(each.link.aclose() for each in self._witnesses))

    async def _keep_asking(self, witness: _Witness) -> None:
        while True:
            await asyncio.sleep(LEAST_S)
            await self._ask(witness)
            try:
                async with asyncio.timeout(POLL_S - LEAST_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _keep_listening(self, witness: _Witness) -> None:
        while True:
            try:
                await witness.link.listen(self.look_again)
            except _FAILURES:
                await asyncio.sleep(LISTEN_AGAIN_S)  # `_ask` says why, if it fails, too

    async def _ask(self, witness: _Witness) -> None:
        try:
            word = await witness.link.ask()
        except _FAILURES as error:
            self._note_failure(witness, str(error) or type(error).__name__)
            return
        witness.word, witness.at, witness.failure = word, time.monotonic(), ""
        await self._choose()

    def _note_failure(self, witness: _Witness, reason: str) -> None:
        if not witness.failure or witness.failure is _UNASKED:
            logger.warning("sentinel_away %s", quoted(sentinel=str(witness.link.at), reason=reason))
        witness.failure = reason

    async def _choose(self) -> None:
        """Take the newest word; after a change, have every connection dropped."""
        since = time.monotonic() - REMEMBERED_S
        words = [each.word for each in self._witnesses if each.word and each.at > since]
        address, before = newest(words, self.address), self.address
        if address is None or address == before:
            return
        self.address = address
        if before is None:
            return
        logger.warning(
            "primary_changed %s",
            quoted(name=self._name, primary=str(address), before=str(before)),
        )
        await asyncio.gather(*(move() for move in self.moves))


@asynccontextmanager
async def watching(url: SentinelUrl) -> AsyncIterator[Primary]:
    """Watch a primary for the length of a block, in which every Sentinel was asked once."""
    primary = Primary(url)
    following: asyncio.Task[None] | None = None
    try:
        await primary.ask_all()
        following = asyncio.create_task(primary.follow(), name="primary")
        yield primary
    finally:
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        await primary.aclose()
