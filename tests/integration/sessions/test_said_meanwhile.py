"""What people say while a run waits, and the responses that wait with it."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from msgspec.structs import replace

from midstream.errors import ConflictError, RunActiveError
from midstream.ids import SessionId
from midstream.protocol.assembler import Assembler
from midstream.protocol.chunks import StartChunk, TextDeltaChunk, TextEndChunk, TextStartChunk
from midstream.protocol.writer import ChunkWriter
from midstream.sessions import open_sessions
from midstream.sessions.runs.terminal import close_request, write_terminal
from midstream.store.records import RunOutcome, RunState
from midstream.store.redis.store import RedisStore
from tests.support.played import ALICE, FAST, Reading, Script, send, types, user_message
from tests.support.processes import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from midstream.protocol.chunks import AnyChunk
    from midstream.protocol.messages import UIMessage
    from midstream.sessions.service import Sessions

pytestmark = pytest.mark.anyio

S = SessionId("chat-1")
HOUR_MS = 3_600_000
U1, U2, U3 = (user_message(f"u{n}", f"question {n}") for n in (1, 2, 3))


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisStore]:
    """The store of whoever answers."""
    async with RedisStore.connect(redis_url) as connected:
        yield connected


async def asked(sessions: Sessions, *messages: UIMessage, **rest: Any) -> Reading:
    """Send to a session whose run waits, or is to wait."""
    request = replace(send(S, *messages, **rest), wait_ms=HOUR_MS)
    return Reading(await sessions.start(ALICE, request))


def said(reading: Reading, code: str) -> bool:
    """Whether a response has said this status."""
    return any(code in str(chunk.get("data")) for chunk in reading.chunks)


async def path_of(sessions: Sessions) -> list[str]:
    """The messages of the session."""
    messages = (await sessions.snapshot(ALICE, S)).messages
    return [msgspec.json.decode(message)["id"] for message in messages]


async def answer(store: RedisStore, text: str) -> str:
    """Claim the run that waits, and answer it; return the answer's id."""
    state = await store.load(S)
    assert state is not None
    assert state.run is not None
    taken = await store.claim(S, state.run.id, "ann", HOUR_MS)
    assert taken is not None
    writer, run = ChunkWriter(taken.run.message_id), taken.run
    chunks: list[AnyChunk] = [
        StartChunk(message_id=run.message_id),
        TextStartChunk(id="t"),
        TextDeltaChunk(id="t", delta=text),
        TextEndChunk(id="t"),
    ]
    for chunk in chunks:
        writer.write(chunk)
    chunks += writer.finish(None, None)
    assembler = Assembler(run.message_id)
    assembler.apply_all(chunks)
    await write_terminal(
        store,
        close_request(
            taken.key,
            run,
            chunks,
            first=0,
            outcome=RunOutcome.FINISHED,
            message=assembler.message(),
            reconnect_window_s=3600,
        ),
    )
    return run.message_id


async def test_messages_that_come_while_a_run_waits_are_answered_together(
    sessions: Sessions, other: Sessions, store: RedisStore, script: Script
) -> None:
    """They join the path, from any gateway; a further response takes the wait over."""
    first = await asked(sessions, U1)
    await first.until(lambda r: said(r, "waiting"))
    second = await asked(other, U1, U2, on_active="queue")
    ended = await first.end()
    third = await asked(sessions, U1, U2, U3)
    await second.end()
    assert await path_of(sessions) == ["u1", "u2", "u3"]
    await third.until(lambda r: said(r, "waiting"))
    answered = await answer(store, "Here I am.")
    chunks = await third.end()

    assert types(ended) == ["data-status", "data-status", "finish"]
    assert third.text == "Here I am."
    assert types(chunks)[-5:] == ["start", "text-start", "text-delta", "text-end", "finish"]
    assert await path_of(sessions) == ["u1", "u2", "u3", answered]
    assert script.runs.empty(), "no model was asked"
    await sessions.start(ALICE, send(S, user_message("u4", "and now?")))
    history = (await script.next()).request.history
    assert [message.id for message in history] == ["u1", "u2", "u3", answered, "u4"]


async def test_same_message_joins_once_and_one_with_other_words_is_refused(
    sessions: Sessions,
) -> None:
    """A send again is the same send; an edit waits for the answer, as one of a written one does."""
    await asked(sessions, U1)
    await asked(sessions, U1, U2)
    again = await asked(sessions, U1, U2)
    assert await path_of(sessions) == ["u1", "u2"]
    assert again.reader.run is not None
    with pytest.raises((RunActiveError, ConflictError)):
        await asked(sessions, U1, user_message("u2", "other words"))
    with pytest.raises(RunActiveError):
        await asked(sessions, user_message("u9", "a branch"), parent_id=None, head="u2")
    assert await path_of(sessions) == ["u1", "u2"]


async def test_send_that_interrupts_ends_the_wait(sessions: Sessions, script: Script) -> None:
    await asked(sessions, U1)
    request = send(S, U1, U2, on_active="interrupt")
    await sessions.start(ALICE, request)
    assert (await script.next()).request.history[-1].id == "u2"


async def test_stop_ends_the_wait_for_every_response(sessions: Sessions, other: Sessions) -> None:
    first = await asked(sessions, U1)
    resumed = await other.resume(ALICE, S)
    assert resumed is not None
    second = Reading(resumed)
    await second.until(lambda r: said(r, "waiting"))
    assert await sessions.stop(ALICE, S)
    for reading in (first, second):
        assert types(await reading.end())[-3:] == ["start", "abort", "finish"]


async def test_response_ends_with_its_token_and_the_wait_goes_on(sessions: Sessions) -> None:
    """So that a client that comes back with another token is not told of an error."""
    request = replace(send(S, U1), wait_ms=HOUR_MS)
    reader = await sessions.start(replace(ALICE, expires_at=time.time() - 1), request)
    chunks = await Reading(reader).end()
    assert types(chunks) == ["data-status", "finish"]
    assert (await sessions.snapshot(ALICE, S)).runs[0].state is RunState.WAITING


async def test_wait_lasts_through_the_end_of_each_gateway(
    sessions: Sessions, redis_url: str, store: RedisStore, script: Script
) -> None:
    """A drained one says so and ends its responses; the answer comes through another."""

    @asynccontextmanager
    async def deployed() -> AsyncIterator[Sessions]:
        async with (
            RedisStore.connect(redis_url) as own,
            open_sessions(own, script, FAST) as opened,
        ):
            yield opened

    async with deployed() as leaving:
        reading = await asked(leaving, U1)
        await reading.until(lambda r: said(r, "waiting"))
        await leaving.drain(1)
        assert types(await reading.end()) == ["data-status", "data-status", "finish"]
    resumed = await sessions.resume(ALICE, S)
    assert resumed is not None
    after = Reading(resumed)
    await answer(store, "Later.")
    await after.end()
    assert after.text == "Later."


async def test_answer_that_has_begun_is_not_joined(sessions: Sessions, store: RedisStore) -> None:
    """What is sent then queues, or is refused: the answer does not know of it."""
    reading = await asked(sessions, U1)
    assert reading.reader.run is not None
    assert await store.claim(S, reading.reader.run.id, "ann", HOUR_MS) is not None
    with pytest.raises(RunActiveError):
        await asked(sessions, U1, U2)
    queued = await sessions.start_unread(ALICE, send(S, U1, U2, on_active="queue"))
    await eventually(lambda: said(reading, "wait_ended"), "the wait is over")
    assert getattr(queued, "position", None) == 1
