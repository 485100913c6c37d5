"""A primary is replaced while answers are written: nothing that its producer holds is lost.

What else the old primary had acknowledged is lost, and told: by a refusal, by the reader's last
chunks, or by what the session says of itself.
"""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import msgspec
import pytest
from msgspec import structs

from midstream.errors import SessionNotFoundError, StoreError
from midstream.ids import SessionId
from midstream.protocol.vocabulary import HIGHEST_LEVEL
from midstream.sessions import open_sessions
from midstream.sessions.types import FeedEvent, Idle
from midstream.settings.redis_url import Address
from midstream.store.records import RunOutcome
from midstream.store.redis.store import RedisStore
from midstream.store.sentinel.words import Word, read_word
from tests.support.played import ALICE, FAST, Reading, Script, send, types, user_message
from tests.support.processes import eventually
from tests.support.proxy import faulty_proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from midstream.sessions import Limits
    from midstream.sessions.service import Sessions
    from midstream.sessions.types import Snapshot
    from tests.support.played import Played
    from tests.support.redis_sentinels import Sentinels

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

RUNS = 5

PATIENT = structs.replace(
    FAST,
    sessions=structs.replace(FAST.sessions, lease_ms=60_000),
    leases=structs.replace(FAST.leases, lease_s=60),
    readers=structs.replace(FAST.readers, outage_limit_s=60),
)
"""A busy machine renews no lease within a second, and take-overs are not under test."""


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
async def gateway(url: str, script: Script, limits: Limits = PATIENT) -> AsyncIterator[Sessions]:
    async with (
        RedisStore.connect(url) as store,
        open_sessions(store, script, limits) as sessions,
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


async def test_answers_are_whole_at_every_gateway_when_the_primary_was_killed(
    sentinels: Sentinels, script: Script
) -> None:
    """Nothing is acknowledged until another one takes its place."""
    async with gateway(sentinels.url, script) as one, gateway(sentinels.url, script) as other:
        answers = [await begin(one, script, f"chat-{i}") for i in range(RUNS)]
        await answers[0].reading.until(lambda r: len(r.text) > 20)
        elsewhere = [await resumed(other, answer.session) for answer in answers]

        await while_away(sentinels.kill_primary, lambda: asyncio.sleep(0))
        for answer in answers:
            await answer.end()
        for answer, reading in zip(answers, elsewhere, strict=True):
            assert types(await reading.end())[-1] == "finish"
            assert answer.reading.text == answer.said
            assert reading.text == answer.said
            assert stored_text(await other.snapshot(ALICE, answer.session)) == answer.said


class Slow(Reading):
    """A reader whose client takes its time: what it has not had yet has to be read from Redis."""

    async def _read(self) -> list[dict[str, object]]:
        async with self.reader as reader:
            async for item in reader:
                if not isinstance(item, Idle):
                    self.lines += item.lines(HIGHEST_LEVEL)
                await asyncio.sleep(0.1)
        return self.chunks


@pytest.mark.release
async def test_answers_are_whole_for_every_reader_after_a_planned_failover(
    sentinels: Sentinels, script: Script
) -> None:
    """The old primary acknowledges on, and all of that is lost: their gateway appends it again."""
    async with gateway(sentinels.url, script) as one, gateway(sentinels.url, script) as other:
        answers = [await begin(one, script, f"chat-{i}") for i in range(RUNS)]
        await answers[0].reading.until(lambda r: len(r.text) > 20)
        readings = [
            (answer, kind(reader))
            for at, kind in itertools.product((one, other), (Reading, Slow))
            for answer in answers
            if (reader := await at.resume(ALICE, answer.session)) is not None
        ]
        new = await asyncio.to_thread(sentinels.failover)
        spoken = [len(answer.reading.text) for answer in answers]
        for answer, before in zip(answers, spoken, strict=True):
            await eventually(
                lambda a=answer, b=before: len(a.reading.text) > b,  # type: ignore[misc]
                "it goes on",
                60,
            )
        assert new is sentinels.primary
        for answer in answers:
            await answer.end()
        for answer, reading in readings:
            assert types(await reading.end())[-1] == "finish"
            assert reading.text == answer.said
            assert stored_text(await other.snapshot(ALICE, answer.session)) == answer.said


@pytest.mark.release
async def test_what_a_planned_failover_loses_is_told(sentinels: Sentinels, script: Script) -> None:
    """Messages are sent all the while: each is answered whole, or whoever waits for it is told."""
    async with gateway(sentinels.url, script, FAST) as one:
        tried: list[Tried] = []
        playing = asyncio.create_task(answer_all(script))
        sending: list[asyncio.Task[None]] = []

        async def send_another() -> None:
            tried.append(Tried(one, f"chat-{len(tried)}"))
            sending.append(asyncio.create_task(tried[-1].send()))

        async def is_well() -> bool:
            await send_another()
            await sending[-1]
            return await tried[-1].is_settled() and tried[-1].is_whole

        await while_away(sentinels.failover, send_another)
        # The gateway may hear of it a moment after the Sentinels have agreed.
        await eventually(is_well, "a message is answered, and its answer is kept", 60)
        await asyncio.gather(*sending)
        playing.cancel()
        for each in tried:
            await eventually(each.is_settled, f"{each.session} is whole, or its loss is told", 60)
            await each.close()


def is_empty(event: FeedEvent) -> bool:
    """Whether it is the snapshot of a session without messages."""
    return event.event == "snapshot" and not msgspec.json.decode(event.data)["messages"]


async def answer_all(script: Script) -> None:
    while True:
        run = await script.runs.get()
        run.open()
        run.tell("so ", "it ", "is")
        run.end()


class Tried:
    """A message that is sent, and a tab that follows its session."""

    def __init__(self, sessions: Sessions, name: str) -> None:
        self.session = SessionId(name)
        self.is_whole = False
        self._sessions = sessions
        self._told: list[str] = []
        self._tab: asyncio.Task[None] | None = None

    async def send(self) -> None:
        try:
            reader = await self._sessions.start(
                ALICE, send(self.session, user_message("u", "hello"))
            )
        except StoreError as error:
            self._told.append(error.code)
            return
        self._tab = asyncio.create_task(self._follow())
        reading = Reading(reader)
        chunks = await reading.end()
        self._told += [str(chunk["type"]) for chunk in chunks if chunk["type"] == "error"]

    async def _follow(self) -> None:
        async with await self._sessions.follow(ALICE, self.session, None) as events:
            async for event in events:
                if isinstance(event, FeedEvent) and (event.event == "lost" or is_empty(event)):
                    self._told.append(event.event)

    async def is_settled(self) -> bool:
        """Whether its answer is kept whole, or somebody was told that it is not."""
        try:
            snapshot = await self._sessions.snapshot(ALICE, self.session)
        except SessionNotFoundError:
            return bool(self._told)
        ended = [run.outcome for run in snapshot.runs]
        self.is_whole = ended == [RunOutcome.FINISHED] and stored_text(snapshot) == "so it is"
        return self.is_whole or bool(ended and ended[0] not in (None, RunOutcome.FINISHED))

    async def close(self) -> None:
        if self._tab is not None:
            self._tab.cancel()
            await asyncio.wait({self._tab})


@pytest.mark.release
async def test_primary_that_hangs_and_wakes_changes_nothing(
    sentinels: Sentinels, script: Script
) -> None:
    """It calls itself a primary until the Sentinels demote it, and takes writes; of nobody."""
    zombie = sentinels.primary
    async with gateway(sentinels.url, script) as one:
        answer = await begin(one, script, "chat")
        await answer.reading.until(lambda r: len(r.text) > 20)
        zombie.freeze()
        await asyncio.to_thread(sentinels.wait_replaced, zombie)
        spoken = len(answer.reading.text)
        await eventually(lambda: len(answer.reading.text) > spoken, "the answer goes on", 60)
        zombie.thaw()
        await answer.end()
        assert answer.reading.text == answer.said
        assert stored_text(await one.snapshot(ALICE, answer.session)) == answer.said


@pytest.mark.release
async def test_primary_without_replicas_is_waited_for(sentinels: Sentinels, script: Script) -> None:
    """NOREPLICAS: the answer stands still until it takes writes again, and is whole."""
    primary = sentinels.primary
    async with gateway(sentinels.url, script) as one:
        answer = await begin(one, script, "chat")
        await answer.reading.until(lambda r: len(r.text) > 20)
        primary.client.config_set("min-replicas-to-write", 3)
        await eventually(
            lambda: len(answer.said) > len(answer.reading.text) + 100, "it stands still", 60
        )
        primary.client.config_set("min-replicas-to-write", 0)
        await eventually(
            lambda: len(answer.reading.text) > len(answer.said) - 100, "it goes on", 60
        )
        await answer.end()
        assert answer.reading.text == answer.said


@pytest.mark.release
async def test_gateway_that_is_cut_off_from_the_primary_waits_for_it(
    sentinels: Sentinels, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Sentinels answer, and name the same primary; the other gateway does not notice."""
    through: ContextVar[int | None] = ContextVar("through", default=None)

    def read_word_of(told: list[bytes], address: list[bytes] | None) -> Word:
        word, port = read_word(told, address), through.get()
        return word if port is None else Word(Address("127.0.0.1", port), word.epoch)

    monkeypatch.setattr("midstream.store.sentinel.link.read_word", read_word_of)
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(gateway(sentinels.url, script))
        way = await stack.enter_async_context(faulty_proxy(sentinels.primary.port))
        through.set(way.port)
        one = await stack.enter_async_context(gateway(sentinels.url, script))
        through.set(None)
        cut, elsewhere = [await begin(at, script, f"chat-{at is one}") for at in (one, other)]
        reading = await resumed(other, cut.session)
        await cut.reading.until(lambda r: len(r.text) > 20)
        way.hold()
        await eventually(
            lambda: len(cut.said) > len(cut.reading.text) + 100, "the one stands still", 60
        )
        spoken = len(elsewhere.reading.text)
        await elsewhere.reading.until(lambda r: len(r.text) > spoken + 20)
        way.cut_all()
        way.release()
        for answer in (cut, elsewhere):
            await answer.end()
            assert answer.reading.text == answer.said
        await reading.end()
        assert reading.text == cut.said
