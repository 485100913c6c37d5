"""The AI SDK's WebSocket: what each frame is answered with, and when an abort is a stop."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from litestar.exceptions import WebSocketDisconnect

from midstream.api.auth.tokens import Anonymous
from midstream.api.chat import websocket as ws
from midstream.errors import DrainingError, RunActiveError, UnauthorizedError
from midstream.protocol.chunks import (
    ErrorChunk,
    FinishChunk,
    StartChunk,
    TextDeltaChunk,
    ToolOutputDeniedChunk,
)
from midstream.protocol.requests import MAX_PARTS
from midstream.sessions.access import Caller
from midstream.settings.sections import ServerSettings
from tests.unit.gateway.api.fakes import FakeReader, FakeSessions, batch, http_scope, make_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

MESSAGES = [{"id": "u1", "role": "user", "parts": []}]
FIRST = batch(0, StartChunk(message_id="m1"), TextDeltaChunk(id="t", delta="Hi"))


class Socket:
    """The client's end of a connection."""

    def __init__(self) -> None:
        self._to_server: asyncio.Queue[Any] = asyncio.Queue()
        self._from_server: asyncio.Queue[Any] = asyncio.Queue()
        self._to_server.put_nowait({"type": "websocket.connect"})

    async def receive(self) -> Any:
        return await self._to_server.get()

    async def send(self, message: Any) -> None:
        self._from_server.put_nowait(message)

    def say(self, frame: object) -> None:
        text = frame if isinstance(frame, str) else json.dumps(frame)
        self._to_server.put_nowait({"type": "websocket.receive", "text": text})

    def say_send(self, request_id: str, chat: str = "c1", **more: object) -> None:
        frame = {
            "type": "send",
            "requestId": request_id,
            "id": chat,
            "trigger": "submit-message",
            "messages": MESSAGES,
            "headers": {},
            "body": {},
        }
        self.say(frame | more)

    def say_resume(self, request_id: str, chat: str = "c1", **more: object) -> None:
        frame = {"type": "resume", "requestId": request_id, "id": chat, "headers": {}, "body": {}}
        self.say(frame | more)

    def say_abort(self, request_id: str) -> None:
        self.say({"type": "abort", "requestId": request_id})

    def leave(self) -> None:
        self._to_server.put_nowait({"type": "websocket.disconnect", "code": 1006})

    async def message(self) -> Any:
        async with asyncio.timeout(30):
            return await self._from_server.get()

    async def frame(self) -> Any:
        return json.loads((await self.message())["text"])

    async def frames_until(self, kind: str) -> list[Any]:
        frames = [await self.frame()]
        while frames[-1]["type"] != kind:
            frames.append(await self.frame())
        return frames


@asynccontextmanager
async def connected(
    sessions: FakeSessions, *, target: str = "/api/chat", **options: Any
) -> AsyncIterator[Socket]:
    """Open a connection; leaving drops it, and waits until the server has let go of it."""
    socket = Socket()
    scope = http_scope("GET", target, options.pop("headers", None))
    del scope["method"]
    scope |= {"type": "websocket", "scheme": "ws", "subprotocols": []}
    app = make_app(sessions, **options)
    task = asyncio.create_task(app(scope, socket.receive, socket.send))
    assert (await socket.message())["type"] == "websocket.accept"
    try:
        yield socket
    finally:
        socket.leave()
        async with asyncio.timeout(30):
            await task


def running(*items: object) -> FakeReader:
    """Return a reader of a run that sends `items` and then never ends."""
    return FakeReader([FIRST, *items, asyncio.Event()])


# -- answers ------------------------------------------------------------------------------


async def test_send_is_answered_with_numbered_chunks() -> None:
    """`start`, chunks from 0 without a hole, `end`."""
    async with connected(FakeSessions()) as socket:
        socket.say_send("r1")
        frames = await socket.frames_until("end")
    assert [frame["type"] for frame in frames] == ["start", "chunk", "chunk", "chunk", "end"]
    assert [frame["sequence"] for frame in frames[1:-1]] == [0, 1, 2]
    assert frames[2]["chunk"] == {"type": "text-delta", "id": "t", "delta": "Hello"}
    assert {frame["requestId"] for frame in frames} == {"r1"}


async def test_resume_is_answered_with_no_active_when_nothing_runs() -> None:
    """As 204 is over HTTP."""
    async with connected(FakeSessions()) as socket:
        socket.say_resume("r1")
        assert await socket.frame() == {"type": "no-active", "requestId": "r1"}


async def test_frame_may_say_the_clients_version() -> None:
    """A browser cannot set a header on the connection; the transport puts them into frames."""
    denied = [batch(0, ToolOutputDeniedChunk(tool_call_id="c"), FinishChunk())]
    async with connected(FakeSessions({"resume": lambda _: FakeReader(denied)})) as socket:
        socket.say_resume("r1", headers={"x-ai-sdk-version": "7"})
        seven = await socket.frames_until("end")
        socket.say_resume("r2")
        five = await socket.frames_until("end")
    assert seven[1]["chunk"]["type"] == "tool-output-denied"
    assert "tool-output-denied" not in [frame["chunk"]["type"] for frame in five[1:-1]]


async def test_requests_of_one_connection_are_answered_side_by_side() -> None:
    """A silent run does not hold another one back."""
    readers = {"c1": running(), "c2": FakeReader()}
    sessions = FakeSessions({"start": lambda call: readers[call["request"].session_id]})
    async with connected(sessions) as socket:
        socket.say_send("r1", "c1")
        await socket.frames_until("chunk")
        socket.say_send("r2", "c2")
        frames = await socket.frames_until("end")
    assert frames[-1]["requestId"] == "r2"


async def test_refusal_is_an_error_frame_with_the_code() -> None:
    """Its text is the JSON that HTTP clients get, so that one reader serves both."""
    sessions = FakeSessions({"start": RunActiveError("unable to send; x", runId="run_7")})
    async with connected(sessions) as socket:
        socket.say_send("r1")
        frame = await socket.frame()
    assert (frame["type"], frame["requestId"]) == ("error", "r1")
    error = json.loads(frame["errorText"])["error"]
    assert (error["code"], error["runId"]) == ("run_active", "run_7")


@pytest.mark.parametrize(
    ("text", "request_id"),
    [
        ("hello", ""),
        ("[]", ""),
        ('{"type": "send"}', ""),
        ('{"type": "dance", "requestId": "r9"}', "r9"),
        ('{"type": "resume", "requestId": "r9", "id": 7, "headers": {}, "body": {}}', "r9"),
        ('{"type": "resume", "requestId": "r9", "id": "..", "headers": {}, "body": {}}', "r9"),
        ('{"type": "resume", "requestId": "r9", "id": "{}", "headers": {}, "body": {}}', "r9"),
        ("[" * 50_000, ""),
    ],
)
async def test_bad_frame_is_answered_and_harms_no_other_request(text: str, request_id: str) -> None:
    """Non-JSON, a wrong shape, an unusable id: an `error` frame, and the rest goes on."""
    gate = asyncio.Event()
    sessions = FakeSessions({"start": FakeReader([FIRST, gate, batch(2, FinishChunk())])})
    async with connected(sessions) as socket:
        socket.say_send("r1")
        await socket.frames_until("chunk")
        await socket.frame()
        socket.say(text)
        frame = await socket.frame()
        assert (frame["type"], frame["requestId"]) == ("error", request_id)
        assert json.loads(frame["errorText"])["error"]["code"] == "invalid_request"
        gate.set()
        assert (await socket.frames_until("end"))[-1]["requestId"] == "r1"


async def test_request_over_the_limit_is_refused() -> None:
    """One connection holds a bounded number of streams."""
    sessions = FakeSessions({"resume": lambda _: running()})
    async with connected(sessions, server=ServerSettings(max_socket_requests=1)) as socket:
        socket.say_resume("r1")
        await socket.frames_until("chunk")
        await socket.frame()
        socket.say_resume("r2")
        frame = await socket.frame()
    assert frame["requestId"] == "r2"
    assert json.loads(frame["errorText"])["error"]["code"] == "too_many_requests"


async def test_message_of_too_many_parts_is_refused() -> None:
    """As a POST is; the connection goes on."""
    async with connected(FakeSessions()) as socket:
        parts = [{"type": "step-start"}] * (MAX_PARTS + 1)
        socket.say_send("r1", messages=[{"id": "u1", "role": "user", "parts": parts}])
        frame = await socket.frame()
        assert (frame["type"], frame["requestId"]) == ("error", "r1")
        assert json.loads(frame["errorText"])["error"]["code"] == "too_large"


async def test_request_id_in_use_is_refused() -> None:
    """Frames could not be told apart."""
    async with connected(FakeSessions({"resume": lambda _: running()})) as socket:
        socket.say_resume("r1")
        await socket.frames_until("chunk")
        await socket.frame()
        socket.say_resume("r1")
        assert (await socket.frame())["type"] == "error"


# -- who may connect ----------------------------------------------------------------------


async def test_page_of_another_origin_is_closed_with_a_code_that_says_so() -> None:
    """A browser opens a WebSocket to anywhere, cookies included: the origin is checked."""
    headers = {"origin": "https://evil.example"}
    async with connected(FakeSessions(), headers=headers) as socket:
        message = await socket.message()
    assert (message["code"], message["reason"]) == (4503, "forbidden")


async def test_caller_without_a_token_is_closed_with_a_code_that_says_so() -> None:
    """4500 and above: do not reconnect."""

    class Strict:
        async def start(self) -> None: ...

        async def identify(self, token: str | None) -> Caller:
            if token != "good":  # noqa: S105
                raise UnauthorizedError("unable to identify the caller; send a bearer token")
            return Caller()

    async with connected(FakeSessions(), authenticator=Strict()) as socket:
        assert (await socket.message())["code"] == 4501
    async with connected(
        FakeSessions(), authenticator=Strict(), target="/api/chat?token=good"
    ) as socket:
        socket.say_resume("r1")
        assert (await socket.frame())["type"] == "no-active"


async def test_draining_closes_the_connection_with_a_code_that_says_reconnect() -> None:
    """Below 4500: connect again, another process answers."""
    sessions = FakeSessions({"start": FakeReader([FIRST, DrainingError("shutting down")])})
    async with connected(sessions) as socket:
        socket.say_send("r1")
        await socket.frames_until("chunk")
        await socket.frame()
        message = await socket.message()
    assert (message["code"], message["reason"]) == (4000, "draining")


async def test_gateway_that_is_not_open_closes_the_connection_with_the_same_code() -> None:
    """A browser cannot see why a handshake was refused, so it is accepted first."""
    async with connected(FakeSessions(), is_open=False) as socket:
        message = await socket.message()
    assert (message["code"], message["reason"]) == (4000, "draining")


async def test_client_that_takes_nothing_is_let_go() -> None:
    """A write over its deadline ends the connection, and its readers, but no run."""
    reader = running()
    sessions, stuck = FakeSessions({"start": reader}), asyncio.Event()
    socket = Socket()

    async def send(message: Any) -> None:
        if message["type"] == "websocket.send":
            await stuck.wait()

    scope = http_scope("GET", "/api/chat") | {"type": "websocket", "subprotocols": []}
    del scope["method"]
    app = make_app(sessions, server=ServerSettings(write_deadline_s=0.02))
    socket.say_send("r1")
    async with asyncio.timeout(30):
        await app(scope, socket.receive, send)
    assert reader.exited
    assert sessions.called("stop") == []


@pytest.mark.parametrize("error", [OSError("gone"), WebSocketDisconnect(detail="gone")])
async def test_connection_that_is_lost_while_writing_ends_quietly(error: Exception) -> None:
    """The server raises from `send` before it says that the client has left."""
    reader = running()
    socket, sent = Socket(), asyncio.Event()

    async def send(message: Any) -> None:
        if message["type"] == "websocket.send":
            sent.set()
            raise error

    scope = http_scope("GET", "/api/chat") | {"type": "websocket", "subprotocols": []}
    del scope["method"]
    socket.say_send("r1")
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        app = make_app(FakeSessions({"start": reader}))
        tasks.create_task(app(scope, socket.receive, send))
        await sent.wait()
        socket.leave()
    assert reader.exited


# -- aborts -------------------------------------------------------------------------------


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """An abort counts as a stop after 10 ms."""
    monkeypatch.setattr(ws.ChatSocket.__init__, "__kwdefaults__", {"abort_grace_s": 0.01})


@pytest.fixture
def endless_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """An abort counts as a stop when a frame says so, never by time."""
    monkeypatch.setattr(ws.ChatSocket.__init__, "__kwdefaults__", {"abort_grace_s": 3600})


async def reading(socket: Socket, request_id: str = "r1") -> None:
    """Send, and read until the first chunks are there."""
    socket.say_send(request_id)
    await socket.frames_until("chunk")
    await socket.frame()


@pytest.mark.usefixtures("short_grace")
async def test_abort_stops_the_run_of_the_newest_request() -> None:
    """A person pressed stop."""
    sessions = FakeSessions({"start": running()})
    async with connected(sessions) as socket:
        await reading(socket)
        socket.say_abort("r1")
    assert sessions.called("stop") == [{"session_id": "c1", "run_id": "run_1"}]


class Brief(Anonymous):
    """Authenticates every caller by a token that ends soon."""

    async def identify(self, token: str | None) -> Caller:
        return Caller(expires_at=time.time() + 1)


async def test_socket_ends_with_its_token_and_carries_stops_out() -> None:
    """The close code means: connect again. Running answers continue, stopped ones do not."""
    sessions = FakeSessions({"start": lambda _: running()})
    async with connected(sessions, authenticator=Brief()) as socket:
        await reading(socket)
        socket.say_send("r2", chat="c2")
        await socket.frames_until("chunk")
        socket.say_abort("r2")
        while (closed := await socket.message())["type"] != "websocket.close":
            pass
    assert (closed["code"], closed["reason"]) == (4003, "token_expired")
    assert sessions.called("stop") == [{"session_id": "c2", "run_id": "run_1"}]


@pytest.mark.usefixtures("endless_grace")
async def test_abort_that_a_resume_follows_stops_nothing() -> None:
    """A second resume replaces the first: the same reader, once more."""
    sessions = FakeSessions({"start": running(), "resume": FakeReader()})
    async with connected(sessions) as socket:
        await reading(socket)
        socket.say_abort("r1")
        socket.say_resume("r2")
        assert (await socket.frames_until("end"))[-1]["requestId"] == "r2"
    assert sessions.called("stop") == []


@pytest.mark.usefixtures("endless_grace")
async def test_abort_that_a_send_follows_stops_before_the_send() -> None:
    """Stop, and send this instead: the send must not meet the run that is to be stopped."""
    sessions = FakeSessions()
    sessions.answers["start"] = lambda _: FakeReader() if sessions.called("stop") else running()
    async with connected(sessions) as socket:
        await reading(socket)
        socket.say_abort("r1")
        socket.say_send("r2")
        await socket.frames_until("end")
    assert [name for name, _ in sessions.calls] == ["start", "stop", "start"]


@pytest.mark.usefixtures("short_grace")
async def test_abort_of_an_older_request_stops_nothing() -> None:
    """A newer reader of the same chat is still there."""
    sessions = FakeSessions({"start": running(), "resume": running()})
    async with connected(sessions) as socket:
        await reading(socket)
        socket.say_resume("r2")
        await socket.frames_until("chunk")
        socket.say_abort("r1")
    assert sessions.called("stop") == []


@pytest.mark.usefixtures("short_grace")
@pytest.mark.parametrize("last", [ErrorChunk(error_text="no"), FinishChunk()])
async def test_abort_after_an_error_or_finish_stops_nothing(last: Any) -> None:
    """ai 7 cancels its stream after an `error` chunk: nobody pressed stop."""
    sessions = FakeSessions({"start": running(batch(2, last))})
    async with connected(sessions) as socket:
        await reading(socket)
        await socket.frame()
        socket.say_abort("r1")
    assert sessions.called("stop") == []


@pytest.mark.usefixtures("short_grace")
async def test_lost_connection_stops_nothing() -> None:
    """A disconnect never stops a run."""
    sessions, reader = FakeSessions(), running()
    sessions.answers["start"] = reader
    async with connected(sessions) as socket:
        await reading(socket)
    assert sessions.called("stop") == []
    assert reader.exited


@pytest.mark.usefixtures("short_grace")
async def test_abort_before_the_run_is_accepted_stops_it_once_it_is() -> None:
    """A stop in the first moment must not be lost."""
    accepted = asyncio.Event()

    class SlowSessions(FakeSessions):
        async def start(self, caller: Any, request: Any, hold: Any = None) -> Any:
            await accepted.wait()
            return await super().start(caller, request)

    sessions = SlowSessions({"start": running()})
    async with connected(sessions) as socket:
        socket.say_send("r1")
        socket.say_abort("r1")
        await asyncio.sleep(0.03)
        accepted.set()
    assert len(sessions.called("start")) == len(sessions.called("stop")) == 1


async def test_abort_of_an_unknown_request_is_ignored() -> None:
    """It ended a moment ago."""
    async with connected(FakeSessions()) as socket:
        socket.say_abort("r1")
        socket.say_resume("r2")
        assert (await socket.frame())["requestId"] == "r2"


async def test_send_tells_agents_the_headers_that_they_may_forward() -> None:
    """The transport's own come in the frame, since a browser sets none on the connection."""
    sessions = FakeSessions()
    given = {"x-tenant": "connection", "x-other": "o", "cookie": "c"}
    forwarded = ("x-tenant", "x-other", "x-evil")
    async with connected(sessions, headers=given, forwarded=forwarded) as socket:
        socket.say_send("r1", headers={"x-tenant": "frame", "x-evil": "a\r\nx-admin: 1"})
        await socket.frames_until("end")
    [call] = sessions.called("start")
    assert call["request"].headers == {"x-tenant": "frame", "x-other": "o"}
