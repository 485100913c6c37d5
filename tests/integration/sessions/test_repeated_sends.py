"""A send that comes again under its key: answered by its run, whatever the session is by then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from midstream.ids import MessageId, SessionId
from midstream.protocol.chunks import (
    FinishStepChunk,
    StartStepChunk,
    TextDeltaChunk,
    TextEndChunk,
    TextStartChunk,
    ToolApprovalRequestChunk,
    ToolInputAvailableChunk,
)
from midstream.protocol.messages import UIMessage
from midstream.store.records import Trigger
from tests.support.played import ALICE, Played, Reading, Script, send, user_message

if TYPE_CHECKING:
    from midstream.sessions.service import Sessions
    from midstream.sessions.types import RunReader, StartRequest

pytestmark = pytest.mark.anyio
S = SessionId("chat-1")
HELLO = user_message("u1", "hello")
CALL = ToolInputAvailableChunk(tool_call_id="c1", tool_name="book", input=msgspec.Raw(b"{}"))


def id_of(reader: RunReader) -> str:
    assert reader.run is not None
    return reader.run.id


def say(run: Played, text: str) -> None:
    """Answer in one step, and end."""
    run.say(
        StartStepChunk(), TextStartChunk(id="t"), TextDeltaChunk(id="t", delta=text),
        TextEndChunk(id="t"), FinishStepChunk(),
    )  # fmt: skip
    run.finish()


async def messages(sessions: Sessions) -> list[UIMessage]:
    """Return the session's messages."""
    return [UIMessage.parse(raw) for raw in (await sessions.snapshot(ALICE, S)).messages]


async def first_answer(sessions: Sessions, script: Script, *, asks: bool) -> UIMessage:
    """Have `HELLO` answered, or answered by a call that a person must allow."""
    reading = Reading(await sessions.start(ALICE, send(S, HELLO, request_key="first")))
    run = await script.next()
    if asks:
        run.say(
            StartStepChunk(), CALL,
            ToolApprovalRequestChunk(approval_id="q1", tool_call_id="c1"), FinishStepChunk(),
        )  # fmt: skip
        run.finish()
    else:
        say(run, "one")
    await reading.end()
    return (await messages(sessions))[-1]


def allowed(message: UIMessage) -> UIMessage:
    """Return the message with its question answered."""
    fields = msgspec.json.decode(message.raw)
    for part in fields["parts"]:
        if part["type"] == "tool-book":
            part["state"] = "approval-responded"
            part["approval"]["approved"] = True
    return UIMessage.parse(msgspec.json.encode(fields))


async def repeated(kind: str, sessions: Sessions, script: Script) -> StartRequest:
    """Return a send, after what it needs has happened."""
    answer = await first_answer(sessions, script, asks=kind == "approval")
    match kind:
        case "regenerate":
            return send(
                S, HELLO, trigger=Trigger.REGENERATE,
                message_id=MessageId(answer.id), request_key="k",
            )  # fmt: skip
        case "edit":
            edited = user_message("u1", "hello, edited")
            return send(S, edited, message_id=MessageId("u1"), request_key="k")
        case "approval":
            return send(S, HELLO, allowed(answer), request_key="k")
        case _:
            return send(S, HELLO, answer, user_message("u2", "and then?"), request_key="k")


@pytest.mark.parametrize("kind", ["regenerate", "edit", "approval", "new"])
async def test_repeated_send_is_answered_by_its_run(
    kind: str, sessions: Sessions, script: Script
) -> None:
    """While it is written, once it has ended, and after others have changed what it was about."""
    request = await repeated(kind, sessions, script)
    first = await sessions.start(ALICE, request)
    beside = await sessions.start(ALICE, request)
    assert id_of(beside) == id_of(first)
    readings = [Reading(first), Reading(beside)]
    say(await script.next(), "two")
    chunks = await readings[0].end()
    assert await readings[1].end() == chunks
    told = [message.id for message in await messages(sessions)]

    late = await sessions.start(ALICE, request)
    assert id_of(late) == id_of(first)
    assert await Reading(late).end() == chunks
    assert [message.id for message in await messages(sessions)] == told

    other = user_message("u1", "something else")
    reading = Reading(await sessions.start(ALICE, send(S, other, message_id=MessageId("u1"))))
    say(await script.next(), "three")
    await reading.end()
    latest = await sessions.start(ALICE, request)
    assert id_of(latest) == id_of(first)
    assert await Reading(latest).end() == chunks
