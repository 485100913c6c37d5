"""A page that resumes while its own send streams, and reaches another gateway with it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import pytest
from msgspec import Raw

from midstream.ids import SessionId
from midstream.protocol.chunks import (
    StartStepChunk,
    ToolInputAvailableChunk,
    ToolInputStartChunk,
    ToolOutputAvailableChunk,
)
from midstream.sessions.types import Probe
from tests.support.played import ALICE, Reading, Script, send, user_message
from tests.support.processes import eventually

if TYPE_CHECKING:
    import redis

    from midstream.sessions.service import Sessions
    from tests.support.played import Played

pytestmark = pytest.mark.anyio
S: Final = SessionId("chat-1")
OWN: Final = f"ms:{{{S}}}:own"


async def sent_with_a_call_under_way(here: Sessions, script: Script) -> tuple[Reading, Played]:
    """Send as the page `page`; return its reading, in the middle of a tool's input."""
    sent = Reading(await here.start(ALICE, send(S, user_message("u1", "hello"), client="page")))
    run = await script.next()
    run.say(StartStepChunk(), ToolInputStartChunk(tool_call_id="c", tool_name="look"))
    await sent.until(lambda reading: len(reading.chunks) == 3)
    return sent, run


def finish(run: Played) -> None:
    """Complete the call."""
    run.say(ToolInputAvailableChunk(tool_call_id="c", tool_name="look", input=Raw(b"{}")))
    run.say(ToolOutputAvailableChunk(tool_call_id="c", output=Raw(b"1")))


async def test_page_that_looks_first_is_told_nothing_while_an_input_streams(
    sessions: Sessions, other: Sessions, script: Script
) -> None:
    """It would add the replay to what it has: ai 5, wherever its request arrives."""
    sent, run = await sent_with_a_call_under_way(sessions, script)
    probe = Probe(client="page", waits=False)

    assert await other.resume(ALICE, S, probe=probe) is None
    assert await sessions.resume(ALICE, S, probe=probe) is None
    stranger = await other.resume(ALICE, S, probe=Probe(client="another", waits=False))
    assert stranger is not None
    told = Reading(stranger)
    run.finish()
    await sent.end()
    await told.end()


async def test_page_waits_on_another_gateway_until_its_calls_are_complete(
    sessions: Sessions, other: Sessions, script: Script
) -> None:
    """And sees the answer from there on, as a second tab of its browser does."""

    sent, run = await sent_with_a_call_under_way(sessions, script)
    resuming = asyncio.create_task(other.resume(ALICE, S, probe=Probe(client="page", waits=True)))
    for _ in range(20):  # by then the gateway has the request, which it does not answer yet
        await other.snapshot(ALICE, S)
    assert not resuming.done()
    finish(run)
    reader = await resuming
    assert reader is not None
    told = Reading(reader)
    run.finish()

    assert [chunk["type"] for chunk in await told.end()][-1] == "finish"
    await sent.end()


async def test_page_that_has_let_go_of_its_send_is_told_at_once(
    sessions: Sessions, other: Sessions, script: Script, raw_redis: redis.Redis
) -> None:
    """A reload: nobody reads the send's response any more, and the mark of it goes."""
    sent, run = await sent_with_a_call_under_way(sessions, script)
    assert raw_redis.hlen(OWN) == 1
    assert 0 < raw_redis.pttl(OWN) <= 120_000
    sent.task.cancel()
    await asyncio.wait([sent.task])
    await eventually(lambda: raw_redis.hlen(OWN) == 0, "the mark goes")

    reader = await other.resume(ALICE, S, probe=Probe(client="page", waits=False))
    assert reader is not None
    told = Reading(reader)
    run.finish()
    await told.end()
