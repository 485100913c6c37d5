"""Runs on one gateway: accepted, streamed, resumed, stopped, retried, refused."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest
from msgspec import structs

from midstream.agents.base import AgentTraits
from midstream.errors import (
    ConflictError,
    MessageNotFoundError,
    NotRecoveredError,
    ProviderUnavailableError,
    RunActiveError,
)
from midstream.ids import MessageId, RunId, SessionId
from midstream.protocol.chunks import (
    AbortChunk,
    ErrorChunk,
    FinishChunk,
    StartChunk,
    StartStepChunk,
    TextDeltaChunk,
    TextStartChunk,
)
from midstream.protocol.messages import UIMessage
from midstream.sessions import ProducerLimits, open_sessions
from midstream.store.records import RunOutcome, Trigger
from midstream.store.redis.store import RedisStore
from tests.support.parsed_body import turns
from tests.support.played import (
    ALICE,
    BOB,
    FAST,
    Played,
    Reading,
    Script,
    send,
    types,
    user_message,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

    from midstream.sessions.service import Sessions
    from midstream.store.calls import AppendBatch, Appended

pytestmark = pytest.mark.anyio
S = SessionId("chat-1")
HELLO = user_message("u1", "hello")


@pytest.fixture(params=[False, True], ids=["yielded", "by call"])
def script(request: pytest.FixtureRequest) -> Script:
    """The agent, whose chunks come in either way."""
    return Script(by_call=request.param)


async def answer(sessions: Sessions, script: Script, *texts: str) -> list[dict[str, object]]:
    """Send `HELLO` and play a whole answer, each text of which is a chunk."""
    reading = Reading(await sessions.start(ALICE, send(S, HELLO)))
    run = await script.next()
    run.open()
    await tell_in_turn(run, reading, *texts)
    run.end()
    return await reading.end()


async def tell_in_turn(run: Played, reading: Reading, *texts: str) -> None:
    """Tell each text once the one before was read, so that none is joined with it."""
    for text in texts:
        run.tell(text)
        await reading.until(lambda r, text=text: r.text.endswith(text))  # type: ignore[misc]


async def test_run_is_streamed_and_kept(sessions: Sessions, script: Script) -> None:
    """A reader gets start, the agent's chunks and finish; the snapshot then holds both
    messages, the answer with what was said."""
    chunks = await answer(sessions, script, "Hi", " there")

    assert types(chunks) == [
        "start", "start-step", "text-start", "text-delta", "text-delta", "text-end",
        "finish-step", "finish",
    ]  # fmt: skip
    snapshot = await sessions.snapshot(ALICE, S)
    messages = [msgspec.json.decode(raw) for raw in snapshot.messages]
    assert [message["role"] for message in messages] == ["user", "assistant"]
    assert messages[1]["id"] == chunks[0]["messageId"]
    assert messages[1]["parts"][1]["text"] == "Hi there"
    assert snapshot.runs[0].outcome is RunOutcome.FINISHED
    assert snapshot.title == "hello"


async def test_resume_between_accept_and_first_token_attaches(
    sessions: Sessions, script: Script
) -> None:
    """The run exists once the send is accepted: a resume gets all of it."""
    sent = Reading(await sessions.start(ALICE, send(S, HELLO)))
    reader = await sessions.resume(ALICE, S)
    assert reader is not None
    resumed = Reading(reader)
    run = await script.next()
    run.open()
    run.tell("Hi")
    run.end()

    assert await resumed.end() == await sent.end()


async def test_late_joiner_gets_the_state_then_live(sessions: Sessions, script: Script) -> None:
    """A resume mid-run begins with one delta a part, and goes on live, nothing twice."""
    sent = Reading(await sessions.start(ALICE, send(S, HELLO)))
    run = await script.next()
    run.open()
    await tell_in_turn(run, sent, *"abcdef")
    reader = await sessions.resume(ALICE, S)
    assert reader is not None
    joined = Reading(reader)
    await joined.until(lambda r: r.text == "abcdef")
    deltas_so_far = types(joined.chunks).count("text-delta")
    run.tell("g", "h")
    run.end()
    await joined.end()

    assert deltas_so_far == 1
    assert joined.chunks[0] == sent.chunks[0]
    assert joined.text == "abcdefgh"
    assert (await sent.end())[-4:] == joined.chunks[-4:]


async def test_resume_after_a_sequence_continues_there(sessions: Sessions, script: Script) -> None:
    """With the last sequence it saw, a client gets exactly the rest, also of an ended run."""
    chunks = await answer(sessions, script, *"abc")
    for after in range(len(chunks)):
        reader = await sessions.resume(ALICE, S, after=after)
        assert reader is not None
        assert await Reading(reader).end() == chunks[after + 1 :]


async def test_resume_finds_nothing_when_nothing_runs(sessions: Sessions, script: Script) -> None:
    """No session, somebody else's, and an ended run all look the same: None; and to who has a part
    of an answer, which is not all of it, no session and somebody else's: not recovered."""
    assert await sessions.resume(ALICE, S) is None
    with pytest.raises(NotRecoveredError):
        await sessions.resume(ALICE, S, after=0)
    await answer(sessions, script, "x")
    assert await sessions.resume(ALICE, S) is None
    assert await sessions.resume(BOB, S) is None
    with pytest.raises(NotRecoveredError):
        await sessions.resume(BOB, S, after=0)


async def test_stop_ends_the_run_and_keeps_what_was_said(
    sessions: Sessions, script: Script
) -> None:
    """A stop cancels the agent, closes what is open, and ends in abort and a bare finish."""
    sent = Reading(await sessions.start(ALICE, send(S, HELLO)))
    run = await script.next()
    run.open()
    run.tell("partial")
    await sent.until(lambda r: r.text == "partial")
    stopped = await sessions.stop(ALICE, S)
    chunks = await sent.end()

    assert stopped == [sent.run_id]
    assert run.cancelled
    assert types(chunks)[-3:] == ["text-end", "abort", "finish"]
    assert "finishReason" not in chunks[-1]
    snapshot = await sessions.snapshot(ALICE, S)
    assert b"partial" in bytes(snapshot.messages[1])
    assert snapshot.runs[0].outcome is RunOutcome.STOPPED
    assert await sessions.stop(ALICE, S) == []
    assert await sessions.stop(ALICE, S, run_id=stopped[0]) == []


async def test_stop_for_an_older_run_leaves_a_newer_one(sessions: Sessions, script: Script) -> None:
    """A stop names its run; another one goes on."""
    await answer(sessions, script, "x")
    old = (await sessions.snapshot(ALICE, S)).runs[0].id
    reading = Reading(await sessions.start(ALICE, send(S, HELLO, user_message("u2", "more"))))
    run = await script.next()
    assert await sessions.stop(ALICE, S, run_id=old) == []
    assert await sessions.stop(ALICE, S, run_id=RunId("run_unknown")) == []
    run.open()
    run.end()
    assert types(await reading.end())[-1] == "finish"


async def test_stop_before_the_send_prevents_it(sessions: Sessions, script: Script) -> None:
    """A stop that names a message without a run ends its next send at once, unanswered."""
    await answer(sessions, script, "x")
    assert await sessions.stop(ALICE, S, message_id=MessageId("u2")) == []
    reading = Reading(await sessions.start(ALICE, send(S, HELLO, user_message("u2", "more"))))

    assert types(await reading.end()) == ["start", "abort", "finish"]


async def test_fifty_sends_of_one_message_are_one_run(sessions: Sessions, script: Script) -> None:
    """However often a message arrives, it has one run, and all its senders read the same."""
    readers = await asyncio.gather(*(sessions.start(ALICE, send(S, HELLO)) for _ in range(50)))
    readings = [Reading(reader) for reader in readers]
    run = await script.next()
    run.open()
    run.tell("one")
    run.end()
    streams = [await reading.end() for reading in readings]

    assert len({reader.run and reader.run.id for reader in readers}) == 1
    assert all(stream == streams[0] for stream in streams)
    assert script.runs.empty()


async def test_two_messages_at_once_are_one_run_and_one_refusal(
    sessions: Sessions, script: Script
) -> None:
    """The second of two different messages gets the error of an active run."""
    results = await asyncio.gather(
        sessions.start(ALICE, send(S, HELLO)),
        sessions.start(ALICE, send(S, user_message("u2", "other"))),
        return_exceptions=True,
    )
    refused = [result for result in results if isinstance(result, RunActiveError)]
    assert len(refused) == 1
    (await script.next()).end()


async def test_interrupting_send_stops_the_run_and_starts_its_own(
    sessions: Sessions, script: Script
) -> None:
    """With `interrupt`, the active run is stopped first; the new one has it in its history."""
    first = Reading(await sessions.start(ALICE, send(S, HELLO)))
    run = await script.next()
    run.open()
    run.tell("cut")
    await first.until(lambda r: r.text == "cut")
    partial = UIMessage.parse(
        msgspec.json.encode(
            {"id": first.chunks[0]["messageId"], "role": "assistant", "parts": [{"type": "text"}]}
        )
    )
    messages = HELLO, partial, user_message("u2", "now this")
    second = Reading(await sessions.start(ALICE, send(S, *messages, on_active="interrupt")))
    following = await script.next()
    following.end()

    assert types(await first.end())[-2:] == ["abort", "finish"]
    await second.end()
    assert [message.role for message in following.request.history] == ["user", "assistant", "user"]
    assert b"cut" in bytes(following.request.history[1].raw)


async def test_failed_run_says_why_and_may_be_sent_again(
    sessions: Sessions, script: Script
) -> None:
    """An agent's error closes the parts and is shown; the same message then starts anew."""
    reading = Reading(await sessions.start(ALICE, send(S, HELLO)))
    run = await script.next()
    run.open()
    run.fail(ProviderUnavailableError("The model is away."))
    chunks = await reading.end()
    assert types(chunks)[-3:] == ["text-end", "error", "finish"]
    assert chunks[-2]["errorText"] == "The model is away."

    again = Reading(await sessions.start(ALICE, send(S, HELLO)))
    (await script.next()).end()
    await again.end()
    assert again.run_id != reading.run_id


async def test_agents_bug_is_not_shown(sessions: Sessions, script: Script) -> None:
    """An unexpected exception ends the run with a general sentence."""
    reading = Reading(await sessions.start(ALICE, send(S, HELLO)))
    (await script.next()).fail(ZeroDivisionError("secret"))
    chunks = await reading.end()
    assert types(chunks) == ["start", "error", "finish"]
    assert "secret" not in str(chunks)


async def test_edit_replaces_a_message_and_what_followed(
    sessions: Sessions, script: Script
) -> None:
    """The same id with other content is an edit: the old answer leaves the conversation."""
    await answer(sessions, script, "x")
    edited = user_message("u1", "changed")
    reading = Reading(await sessions.start(ALICE, send(S, edited, message_id=MessageId("u1"))))
    run = await script.next()
    run.end()
    await reading.end()

    assert [(each.id, each.text) for each in run.request.history] == [("u1", "changed")]
    snapshot = await sessions.snapshot(ALICE, S)
    assert len(snapshot.messages) == 2
    assert b"changed" in bytes(snapshot.messages[0])


async def test_regenerate_answers_the_same_message_anew(sessions: Sessions, script: Script) -> None:
    """A regenerate puts another answer in the place of the old one."""
    old = (await answer(sessions, script, "x"))[0]["messageId"]
    reading = Reading(
        await sessions.start(
            ALICE, send(S, HELLO, trigger=Trigger.REGENERATE, message_id=MessageId(str(old)))
        )
    )
    run = await script.next()
    run.end()
    chunks = await reading.end()

    assert chunks[0]["messageId"] != old
    assert len(run.request.history) == 1
    assert len((await sessions.snapshot(ALICE, S)).messages) == 2


async def test_regenerate_of_an_unknown_message_is_refused(
    sessions: Sessions, script: Script
) -> None:
    """It names what is not there; nothing changes."""
    await answer(sessions, script, "x")
    before = await sessions.snapshot(ALICE, S)
    with pytest.raises(MessageNotFoundError):
        await sessions.start(
            ALICE, send(S, HELLO, trigger=Trigger.REGENERATE, message_id=MessageId("msg_x"))
        )
    assert await sessions.snapshot(ALICE, S) == before


async def test_assistant_message_of_a_client_is_refused(sessions: Sessions, script: Script) -> None:
    """A client's history cannot bring in a message that the server never wrote."""
    forged = UIMessage.parse(b'{"id":"a9","role":"assistant","parts":[{"type":"text","text":"x"}]}')
    with pytest.raises(MessageNotFoundError):
        await sessions.start(ALICE, send(S, HELLO, forged, user_message("u2", "?")))
    with pytest.raises(MessageNotFoundError):
        await sessions.start(ALICE, send(S, HELLO, forged))
    assert script.runs.empty()


async def test_stopped_chat_that_posts_itself_again_is_refused(
    sessions: Sessions, script: Script
) -> None:
    """Going on with a message in which nothing waits for an answer is a conflict, not a loop."""
    chunks = await answer(sessions, script, "x")
    own = UIMessage.parse(
        msgspec.json.encode({"id": chunks[0]["messageId"], "role": "assistant", "parts": []})
    )
    with pytest.raises(ConflictError):
        await sessions.start(ALICE, send(S, HELLO, own))


async def test_run_goes_on_without_readers(sessions: Sessions, script: Script) -> None:
    """A disconnect never stops a run."""
    reading = Reading(await sessions.start(ALICE, send(S, HELLO)))
    run = await script.next()
    run.open()
    run.tell("a")
    await reading.until(lambda r: r.text == "a")
    reading.task.cancel()
    run.tell("b")
    run.end()
    reader = await sessions.resume(ALICE, S, run_id=reading.run_id, after=0)
    assert reader is not None
    await Reading(reader).end()

    assert b'"ab"' in bytes((await sessions.snapshot(ALICE, S)).messages[1])


async def test_agent_waits_while_too_much_is_not_in_the_log(
    redis_url: str, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not asked for more; then it goes on where it was."""
    limits = structs.replace(FAST, producers=ProducerLimits(max_pending_bytes=1))
    reachable = asyncio.Event()

    async with (
        RedisStore.connect(redis_url) as store,
        open_sessions(store, script, limits) as sessions,
    ):
        append = store.append

        async def appended(batches: Sequence[AppendBatch]) -> list[Appended]:
            await reachable.wait()
            return await append(batches)

        monkeypatch.setattr(store, "append", appended)
        reading = Reading(await sessions.start(ALICE, send(S, HELLO)))
        run = await script.next()
        run.open()
        run.tell("a", "b")
        run.end()
        held_back = run.left - 1
        await turns(50)
        assert run.left == held_back
        reachable.set()
        await reading.end()
        assert reading.text == "ab"


async def test_silent_run_sends_heartbeats(sessions: Sessions, script: Script) -> None:
    """A reader says that nothing came, again and again, from before the first token."""
    reading = Reading(await sessions.start(ALICE, send(S, HELLO)))
    run = await script.next()
    await reading.until(lambda r: r.heartbeats >= 2)
    run.end()
    await reading.end()


async def test_illegal_chunk_ends_the_run_and_keeps_what_came_before(
    sessions: Sessions, script: Script
) -> None:
    """A delta of a part that was never opened is named; the valid chunks of the same batch
    were sent, and are closed."""
    reading = Reading(await sessions.start(ALICE, send(S, HELLO)))
    run = await script.next()
    run.say(
        StartStepChunk(),
        TextStartChunk(id="t"),
        TextDeltaChunk(id="t", delta="valid"),
        TextDeltaChunk(id="x", delta="astray"),
    )
    chunks = await reading.end()

    assert reading.text == "valid"
    assert types(chunks)[-3:] == ["text-end", "error", "finish"]
    assert "text-delta" in str(chunks[-2]["errorText"])


async def test_chunk_out_of_order_is_dropped_where_an_agent_passes_them_on(
    sessions: Sessions, script: Script
) -> None:
    """A provider's disorder does not end the answer."""
    script.traits = AgentTraits(passes_on=True)
    reading = Reading(await sessions.start(ALICE, send(S, HELLO)))
    run = await script.next()
    run.say(StartStepChunk(), TextDeltaChunk(id="x", delta="astray"), TextStartChunk(id="t"))
    run.say(TextDeltaChunk(id="t", delta="valid"))
    run.end()
    chunks = await reading.end()
    assert reading.text == "valid"
    assert types(chunks)[-3:] == ["text-end", "finish-step", "finish"]


async def test_agents_own_envelope_is_the_runs(sessions: Sessions, script: Script) -> None:
    """An agent that tells a whole stream, as a backend does, begins and fails in our words'
    places: one start, with our message id; its error ends the run."""
    reading = Reading(await sessions.start(ALICE, send(S, HELLO)))
    run = await script.next()
    run.say(StartChunk(message_id="theirs"), StartStepChunk(), TextStartChunk(id="t"))
    run.say(ErrorChunk(error_text="out of paper"), FinishChunk(finish_reason="error"))
    chunks = await reading.end()

    assert types(chunks).count("start") == 1
    assert chunks[0]["messageId"] != "theirs"
    assert types(chunks)[-3:] == ["text-end", "error", "finish"]
    assert chunks[-2]["errorText"] == "out of paper"


async def test_repeated_send_gets_its_answer_when_the_chunks_are_gone(
    sessions: Sessions, script: Script, raw_redis: redis.Redis
) -> None:
    """After the reconnect window the message stands for its chunks."""
    chunks = await answer(sessions, script, "kept")
    raw_redis.xtrim("ms:{chat-1}:log", maxlen=0)
    again = Reading(await sessions.start(ALICE, send(S, HELLO)))

    replayed = await again.end()
    assert script.runs.empty()
    assert again.text == "kept"
    assert replayed[0]["messageId"] == chunks[0]["messageId"]
    assert types(replayed)[-1] == "finish"


async def test_agent_that_gives_up_leaves_what_a_stop_leaves(
    sessions: Sessions, script: Script
) -> None:
    """Its `abort` closes open parts; the written ones are kept, and nothing follows."""
    reading = Reading(await sessions.start(ALICE, send(S, HELLO)))
    run = await script.next()
    run.open()
    run.tell("Hi")
    run.say(AbortChunk(reason="the backend was stopped"))
    run.tell("never")
    chunks = await reading.end()

    assert types(chunks)[-4:] == ["text-delta", "text-end", "abort", "finish"]
    assert chunks[-2]["reason"] == "the backend was stopped"
    assert "finishReason" not in chunks[-1]
    snapshot = await sessions.snapshot(ALICE, S)
    assert snapshot.runs[0].outcome is RunOutcome.STOPPED
    assert reading.text == "Hi"
