"""A primary is replaced while answers are written: nothing that its producer holds is lost.

What else the old primary had acknowledged is lost, and told: by a refusal, by the reader's last
chunks, or by what the session says of itself.
"""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest

from midstream.ids import SessionId
from midstream.sessions import open_sessions
from midstream.store.redis.store import RedisStore
from tests.support.played import ALICE, FAST, Reading, Script, send, types, user_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from midstream.sessions.service import Sessions
    from midstream.sessions.types import Snapshot
    from tests.support.played import Played
    from tests.support.redis_sentinels import Sentinels

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

RUNS = 5


class Answer:
    """One run, which says a word every few milliseconds until it is told to end."""

    def __init__(self, session: SessionId, reading: Reading, run: Played) -> None:
        self.session, self.reading = session, reading
        self.said = ""
        self._ending = False
        self._task = asyncio.create_task(self._say(run))

    async def _say(self, run: Played) -> None:
        run.open()
        for number in itertools.count():
            if self._ending or run.ended.is_set():
                break
            word = f"{number} "
            self.said += word
            run.tell(word)
            await asyncio.sleep(0.01)
        run.end()

    async def end(self) -> None:
        self._ending = True
        await self._task
        await self.reading.end()


async def begin(sessions: Sessions, script: Script, name: str) -> Answer:
    reader = await sessions.start(ALICE, send(name, user_message("u", "hello")))
    return Answer(SessionId(name), Reading(reader), await script.next())


async def resumed(sessions: Sessions, session: SessionId) -> Reading:
    reader = await sessions.resume(ALICE, session)
    assert reader is not None
    return Reading(reader)


@asynccontextmanager
async def gateway(url: str, script: Script) -> AsyncIterator[Sessions]:
    async with (
        RedisStore.connect(url) as store,
        open_sessions(store, script, FAST) as sessions,
    ):
        yield sessions


def stored_text(snapshot: Snapshot) -> str:
    message = msgspec.json.decode(bytes(snapshot.messages[-1]))
    return "".join(part.get("text", "") for part in message["parts"])


async def while_away(fault: Callable[[], object], step: Callable[[], Awaitable[object]]) -> None:
    """Do a step again and again until a fault is done."""
    done = asyncio.create_task(asyncio.to_thread(fault))
    while not done.done():
        await step()
        await asyncio.sleep(0.05)
    await done


@pytest.fixture(autouse=True)
def much_is_retained(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long Sentinels take is not under test, and a busy machine makes them slow."""
    monkeypatch.setattr("midstream.sessions.runs.lane.RETAIN_S", 60)
    monkeypatch.setattr("midstream.sessions.runs.lane.RETAIN_BYTES", 1024 * 1024)


@pytest.fixture
def script() -> Script:
    """The agent of both gateways."""
    return Script(by_call=True)


@pytest.mark.parametrize("fault", ["failover", "kill_primary"])
async def test_answers_are_whole_at_every_gateway_after_a_failover(
    sentinels: Sentinels, script: Script, fault: str
) -> None:
    """Planned, the old primary acknowledges on; killed, nothing is acknowledged for a while."""
    async with gateway(sentinels.url, script) as one, gateway(sentinels.url, script) as other:
        answers = [await begin(one, script, f"chat-{i}") for i in range(RUNS)]
        await answers[0].reading.until(lambda r: len(r.text) > 20)
        elsewhere = [await resumed(other, answer.session) for answer in answers]

        await while_away(getattr(sentinels, fault), lambda: asyncio.sleep(0))
        for answer in answers:
            await answer.end()
        for answer, reading in zip(answers, elsewhere, strict=True):
            assert types(await reading.end())[-1] == "finish"
            assert answer.reading.text == answer.said
            assert reading.text == answer.said
            assert stored_text(await other.snapshot(ALICE, answer.session)) == answer.said
