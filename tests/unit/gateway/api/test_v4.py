"""`?protocol=v4`: what ai 4 asks of the sessions, and how it is answered."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import Raw

from midstream.errors import SessionNotFoundError, StoreUnavailableError
from midstream.ids import SessionId
from midstream.protocol.chunks import ErrorChunk, FinishChunk
from midstream.sessions.types import Idle, Snapshot
from midstream.store.records import Trigger
from tests.unit.gateway.api.fakes import (
    WHOLE_RUN,
    FakeReader,
    FakeSessions,
    batch,
    make_app,
    request,
)

pytestmark = pytest.mark.anyio

PATH = "/api/chat?protocol=v4"
BODY = {"id": "c1", "messages": [{"role": "user", "content": "Hi"}]}
ASKED = Raw(b'{"id":"u1","role":"user","parts":[{"type":"text","text":"Hi"}]}')
ANSWERED = Raw(b'{"id":"a1","role":"assistant","parts":[{"type":"text","text":"Yes"}]}')
NOT_THERE = SessionNotFoundError("unable to find this session")


def holding(*messages: Raw) -> FakeSessions:
    """Return sessions whose one session has these messages."""
    held = Snapshot(
        id=SessionId("c1"), epoch="e", offset="1-0", title="", messages=messages, runs=[]
    )
    return FakeSessions({"snapshot": held})


async def test_v4_send_streams_the_run_in_lines() -> None:
    """With the header of ai 4's protocol, and an empty line at once for the proxies."""
    answer = await request(make_app(FakeSessions({"snapshot": NOT_THERE})), "POST", PATH, BODY)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-vercel-ai-data-stream"] == "v1"
    assert "x-vercel-ai-ui-message-stream" not in answer.headers
    assert answer.body == (
        b'\nf:{"messageId":"m1"}\n0:"Hello"\n'
        b'e:{"finishReason":"unknown","isContinued":false}\nd:{"finishReason":"unknown"}\n'
    )
    assert answer.complete


async def test_v4_stream_has_empty_lines_while_nothing_comes_and_ends_after_an_error() -> None:
    """A client skips the former, and throws at the latter."""
    items = [Idle.HEARTBEAT, batch(0, ErrorChunk(error_text="no"), FinishChunk())]
    sessions = FakeSessions({"snapshot": NOT_THERE, "start": FakeReader(items)})
    answer = await request(make_app(sessions), "POST", PATH, BODY)
    assert answer.body == b'\n\n3:"no"\nd:{"finishReason":"error"}\n'
    assert answer.complete


async def test_v4_send_begins_a_session_with_a_new_message() -> None:
    """Nothing is held yet; the message gets an id."""
    sessions = FakeSessions({"snapshot": NOT_THERE})
    await request(make_app(sessions), "POST", PATH, BODY)
    start = sessions.called("start")[0]["request"]
    assert (start.session_id, start.trigger) == ("c1", Trigger.SUBMIT)
    assert start.messages[-1].id.startswith("v4_")
    assert [msgspec.json.decode(part) for part in start.messages[-1].parts] == [
        {"type": "text", "text": "Hi"}
    ]


async def test_v4_send_is_read_beside_what_the_session_holds() -> None:
    """An answered message is sent again, to be answered anew."""
    sessions = holding(ASKED, ANSWERED)
    await request(make_app(sessions), "POST", PATH, BODY)
    start = sessions.called("start")[0]["request"]
    assert start.messages[-1].id == "u1"
    assert start.trigger is Trigger.REGENERATE


async def test_v4_send_without_a_chat_begins_a_session_of_its_own() -> None:
    """There is none to look at."""
    sessions = FakeSessions()
    await request(make_app(sessions), "POST", PATH, {"messages": BODY["messages"]})
    assert sessions.called("snapshot") == []
    assert sessions.called("start")[0]["request"].session_id.startswith("chat_")


async def test_v4_send_is_refused_while_the_session_cannot_be_read() -> None:
    """Taking it for a new message would answer it twice."""
    sessions = FakeSessions({"snapshot": StoreUnavailableError("unable to reach Redis")})
    answer = await request(make_app(sessions), "POST", PATH, BODY)
    assert answer.status == 503
    assert sessions.called("start") == []


async def test_v4_resume_is_in_lines_too() -> None:
    """The whole message so far, then live."""
    sessions = FakeSessions({"resume": FakeReader(WHOLE_RUN)})
    answer = await request(make_app(sessions), "GET", "/api/chat/c1/stream?protocol=v4")
    assert answer.headers["x-vercel-ai-data-stream"] == "v1"
    assert answer.body.startswith(b'\nf:{"messageId":"m1"}\n0:"Hello"\n')
