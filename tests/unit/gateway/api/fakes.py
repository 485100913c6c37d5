"""A session service that does as a test tells it, and an ASGI client that sees every message."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from midstream.aio.idle_timeout import IdleTimeout
from midstream.api.auth.agent_keys import AgentKeys
from midstream.api.auth.gate import Gate, page_origins
from midstream.api.auth.tokens import Anonymous
from midstream.api.context import Api, CurrentApi
from midstream.api.every_response import EveryResponse
from midstream.api.proxy.routes import Proxy
from midstream.app import build_litestar
from midstream.ids import MessageId, RunId
from midstream.limits.limiter import Limiter
from midstream.protocol.batch import ChunkBatch
from midstream.protocol.chunks import FinishChunk, StartChunk, TextDeltaChunk
from midstream.protocol.codec import encode_lines
from midstream.protocol.vocabulary import level_of_chunks
from midstream.providers.configured import known_upstreams, simulated_upstreams
from midstream.providers.passthrough.upstreams import Upstreams
from midstream.sessions.diagnosis.diagnose import Diagnosing
from midstream.sessions.types import RunCost
from midstream.settings.provider_kinds import simulators
from midstream.settings.sections import ServerSettings, Settings
from midstream.store.records import RunInfo, RunState, SessionPage, Trigger
from midstream.store.server.facts import UNKNOWN, KnownServer, ServerFacts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from midstream.api.auth.tokens import Authenticator
    from midstream.errors import GatewayError
    from midstream.protocol.chunks import AnyChunk
    from midstream.sessions.types import Idle
    from midstream.sessions.user_data.users import Users

RUN = RunInfo(
    id=RunId("run_1"),
    state=RunState.OPEN,
    message_id=MessageId("m1"),
    user_message_id=MessageId("u1"),
    trigger=Trigger.SUBMIT,
)
BODY = {"id": "c1", "messages": [{"id": "u1", "role": "user", "parts": []}]}


def batch(first: int, *chunks: AnyChunk) -> ChunkBatch:
    """Return a raw batch."""
    return ChunkBatch(
        first=first,
        count=len(chunks),
        payload=encode_lines(chunks),
        level=level_of_chunks(chunks),
    )


WHOLE_RUN = (
    batch(0, StartChunk(message_id="m1"), TextDeltaChunk(id="t", delta="Hello")),
    batch(2, FinishChunk()),
)


class FakeReader:
    """Yields what it is given; an exception is raised, an event waited for."""

    def __init__(self, items: Sequence[object] = WHOLE_RUN, run: RunInfo = RUN) -> None:
        self.run = run
        self.items = items
        self.entered = False
        self.exited = False

    async def __aenter__(self) -> FakeReader:
        self.entered = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.exited = True

    def write_to(self, _: object) -> None:
        raise AssertionError("no server here writes directly")

    async def __aiter__(self) -> AsyncIterator[Any | Idle]:
        for item in self.items:
            if isinstance(item, Exception):
                raise item
            if isinstance(item, asyncio.Event):
                await item.wait()
            else:
                yield item


class FakeHeld:
    """Keeps no places."""

    def until_ended(self, *_: object) -> None: ...


@dataclass
class FakeSessions:
    """Records its calls and answers them with `answers[method]`; an exception is raised."""

    answers: dict[str, Any] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    pushed: Any = None
    proxied: Any = None
    proxied_ends: Any = None
    held: Any = field(default_factory=FakeHeld)
    queues: Any = None
    steers: Any = None
    handoffs: Any = None
    desk: Any = None

    def _answer(self, method: str, **arguments: Any) -> Any:
        self.calls.append((method, arguments))
        answer = self.answers.get(method)
        if isinstance(answer, Exception):
            raise answer
        return answer(arguments) if callable(answer) else answer

    def called(self, method: str) -> list[dict[str, Any]]:
        """Return the arguments of each call of a method."""
        return [arguments for name, arguments in self.calls if name == method]

    def cost(self, request: Any) -> RunCost:
        return RunCost()

    async def start(self, caller: Any, request: Any, hold: Any = None) -> Any:
        return self._answer("start", caller=caller, request=request) or FakeReader()

    async def start_unread(self, caller: Any, request: Any, hold: Any = None) -> Any:
        return self._answer("start_unread", caller=caller, request=request)

    def queues_send(self, request: Any) -> bool:
        return bool(request.on_active == "queue")

    async def resume(self, caller: Any, session_id: str, **options: Any) -> Any:
        return self._answer("resume", caller=caller, session_id=session_id, **options)

    async def stop(self, caller: Any, session_id: str, **options: Any) -> Any:
        return self._answer("stop", session_id=session_id, **options) or []

    async def snapshot(self, caller: Any, session_id: str, *, side: bool = False) -> Any:
        return self._answer("snapshot", session_id=session_id, side=side)

    async def at_work(self, caller: Any, session_id: str) -> Any:
        return self._answer("at_work", caller=caller, session_id=session_id)

    async def withdraw_presence(self, pid: int) -> None:
        self._answer("withdraw_presence", pid=pid)

    async def follow(
        self, caller: Any, session_id: str, after: Any, *, tabs: int = 1, side: bool = False
    ) -> Any:
        return self._answer("follow", session_id=session_id, after=after, tabs=tabs, side=side)

    async def delete(self, caller: Any, session_id: str, message_id: str | None) -> None:
        self._answer("delete", session_id=session_id, message_id=message_id)

    async def select(self, caller: Any, session_id: str, message_id: str) -> Any:
        return self._answer("select", session_id=session_id, message_id=message_id)

    async def erase(self, caller: Any, session_id: str) -> None:
        self._answer("erase", session_id=session_id)

    async def drain(self, limit_s: float) -> None: ...

    async def list_sessions(self, caller: Any, *, limit: int, before_ms: int | None) -> Any:
        return SessionPage(self._answer("list_sessions", limit=limit, before_ms=before_ms) or [])


def make_api(
    sessions: FakeSessions,
    settings: Settings | None = None,
    *,
    authenticator: Authenticator | None = None,
    agent_keys: AgentKeys | None = None,
    hosts: Sequence[str] = (),
    cookie: str = "",
    ready_error: GatewayError | None = None,
    forwarded: Sequence[str] = (),
) -> Api:
    """Return the API of an open gateway, over a fake service."""
    settings = settings or Settings()

    async def probe() -> None:
        if ready_error is not None:
            raise ready_error

    async def describe() -> ServerFacts:
        return UNKNOWN

    return Api(
        settings=settings.server,
        gate=Gate(
            authenticator or Anonymous(),
            agent_keys or AgentKeys({}, tokens_required=False),
            origins=page_origins(settings),
            hosts=hosts,
            cookie=cookie,
        ),
        sessions=sessions,
        users=cast("Users", None),
        diagnosis=Diagnosing(cast("Any", sessions)),
        limits=Limiter(),
        deadline=IdleTimeout(settings.server.write_deadline_s),
        agents=(),
        forwarded=forwarded,
        upstreams=Upstreams(known_upstreams(settings, {}), simulators(), simulated_upstreams),
        server=KnownServer(describe),
        probe=probe,
    )


def make_app(
    sessions: FakeSessions,
    *,
    server: ServerSettings | None = None,
    is_open: bool = True,
    **options: Any,
) -> Any:
    """Return the HTTP application over a fake service, as the gateway serves it.

    Args:
        is_open: it is; otherwise as before a gateway's `open`.
        options: see `make_api`.
    """
    settings = Settings(server=server or ServerSettings())
    current, api = CurrentApi(), make_api(sessions, settings, **options)
    proxy = Proxy(current, settings.proxy, api.deadline)
    routes = build_litestar(current, proxy, settings, lifespan=None)
    if is_open:
        # As long as the test has the application.
        routes.state.serving = ExitStack()
        routes.state.serving.enter_context(current.serve(api))
    return EveryResponse(routes, api.gate)


@dataclass
class Answer:
    """A response. `complete`: its last body message came."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = False

    def json(self) -> Any:
        """Return the body, decoded."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The code of an error response."""
        return str(self.json()["error"]["code"])


def http_scope(method: str, target: str, headers: Mapping[str, str] | None = None) -> Any:
    """Return an ASGI scope for a request."""
    path, _, query = target.partition("?")
    fields = {"host": "127.0.0.1:8000", **(headers or {})}
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }


async def request(
    app: Any,
    method: str,
    target: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Make a request and return its whole answer."""
    payload = (
        body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    )
    answer = Answer()
    pending = [{"type": "http.request", "body": payload, "more_body": False}]

    async def receive() -> Any:
        if pending:
            return pending.pop()
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            answer.body += message.get("body", b"")
            answer.complete = not message.get("more_body", False)

    async with asyncio.timeout(30):
        await app(http_scope(method, target, headers), receive, send)
    return answer


def data_lines(body: bytes) -> list[Any]:
    """Return the JSON of a stream's events, `[DONE]` as it is."""
    lines = [line[6:] for line in body.decode().split("\n") if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]
