"""Servers that want a model's thinking back where they had it, and refuse anything else."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.fixtures import start_deployment
from tests.support.processes import free_port
from tests.support.sessions import Session, text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from tests.support.fixtures import Deployment
    from tests.support.simulator import Simulator

pytestmark = pytest.mark.anyio

Json = dict[str, Any]

PORT: Final = free_port()
PIECE_BYTES: Final = 48
"""Of the body, in one write: most events are cut in two."""

SIGNATURE: Final = {"google": {"thought_signature": "c2ln"}}
CALL: Final[Json] = {
    "index": 0,
    "id": "c1",
    "type": "function",
    "function": {"name": "add", "arguments": '{"one": 20, "two": 22}'},
}


def event(finish: str | None = None, **delta: object) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}


def asks(**thought: Any) -> list[Json]:
    """Return a stream that thinks and calls."""
    return [
        event(role="assistant", content=None, **thought),
        event("tool_calls", tool_calls=[CALL]),
    ]


def says(**thought: Any) -> list[Json]:
    """Return a stream that thinks and answers."""
    return [
        event(role="assistant", **thought),
        event(content="It is "),
        event("stop", content="42."),
    ]


class Server:
    """A server with a rule for the assistant's messages, which answers with its streams in turn."""

    def __init__(self, rule: Callable[[Json], bool], *streams: Sequence[Json]) -> None:
        self.refused: list[Json] = []
        self.served = 0
        self._rule = rule
        self._streams = streams
        self._writers: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", PORT)
        async with server:
            yield
        # The next test's server has the same port.
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
                await self._answer(json.loads(await reader.readexactly(length)), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, body: Json, writer: asyncio.StreamWriter) -> None:
        said = [message for message in body["messages"] if message["role"] == "assistant"]
        if not all(map(self._rule, said)):
            self.refused += said
            writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}")
            return
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
        writer.write(b"transfer-encoding: chunked\r\n\r\n")
        data = b"".join(
            b"data: %b\n\n" % json.dumps(each).encode() for each in self._streams[self.served]
        )
        self.served += 1
        data += b"data: [DONE]\n\n"
        for at in range(0, len(data), PIECE_BYTES):
            piece = data[at : at + PIECE_BYTES]
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(0.002)
        writer.write(b"0\r\n\r\n")


@pytest.fixture(scope="module")
def gateway(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One gateway whose model is on the port of the module's servers."""
    with ExitStack() as stack:
        made = start_deployment(simulator, tmp_path_factory.mktemp("strict"), stack)
        made.add_gateway(
            {
                "providers.acme": {
                    "kind": "openai-chat",
                    "base_url": f"http://127.0.0.1:{PORT}/v1",
                    "max_retries": 0,
                },
                "agents.acme": {
                    "provider": "acme",
                    "model": "acme-1",
                    "tools": ["tests.support.tools:add"],
                },
            }
        )
        yield made


async def ask(session: Session) -> tuple[str, str]:
    """Send a message; return what the answer thought and said, as the session has it."""
    seen = await session.send("How much is it?", extra={"agent": "acme"})
    assert "error" not in seen.types, seen.chunks
    message = (await session.snapshot())["messages"][-1]
    thoughts = [part["text"] for part in message["parts"] if part["type"] == "reasoning"]
    return " ".join(thoughts), text_of(message)


def thinking(text: str) -> list[Json]:
    return [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]


def detail(text: str, **more: object) -> Json:
    return {"type": "reasoning.text", "text": text, "index": 0, **more}


SIGNED: Final = [detail("Add.", signature="c2ln")]

SERVERS: Final[dict[str, tuple[Callable[[Json], bool], list[Json], list[Json]]]] = {
    "deepseek": (
        lambda said: said.get("reasoning_content") in ("Add.", "Done."),
        asks(reasoning_content="Add."),
        says(reasoning_content="Done."),
    ),
    "groq": (
        lambda said: said.get("reasoning") in ("Add.", "Done.") and len(said) <= 4,
        asks(reasoning="Add."),
        says(reasoning="Done."),
    ),
    "mistral": (
        lambda said: said["content"][0] in (thinking("Add.")[0], thinking("Done.")[0]),
        [event(content=thinking("Add.")), event("tool_calls", tool_calls=[CALL])],
        [event(content=thinking("Done.")), *says()[1:]],
    ),
    "openrouter": (
        lambda said: said["reasoning_details"] in (SIGNED, [detail("Done.")]),
        [
            event(reasoning="Add.", reasoning_details=[detail("Add.")]),
            event(reasoning_details=[detail("", signature="c2ln")]),
            event("tool_calls", tool_calls=[CALL]),
        ],
        says(reasoning="Done.", reasoning_details=[detail("Done.")]),
    ),
    "gemini": (
        lambda said: all(call["extra_content"] == SIGNATURE for call in said.get("tool_calls", ())),
        [
            event(reasoning_content="Add."),
            event("stop", tool_calls=[{**CALL, "extra_content": SIGNATURE}]),
        ],
        says(reasoning_content="Done."),
    ),
}
"""A server of each kind: its rules for the assistant's messages, and its refusals."""


@pytest.mark.parametrize("name", SERVERS)
async def test_strict_server_is_satisfied_over_two_turns(gateway: Deployment, name: str) -> None:
    """A call, its result, and a later question: nothing is refused, and the thinking is shown."""
    rule, call, answer = SERVERS[name]
    server = Server(rule, call, answer, answer)
    async with server.listening():
        session = gateway.session()
        assert await ask(session) == ("Add. Done.", "It is 42.")
        assert await ask(session) == ("Done.", "It is 42.")
    assert server.refused == []
    assert server.served == 3


async def test_conversation_goes_on_with_a_model_that_does_not_think(gateway: Deployment) -> None:
    """It refuses the field; the request comes once more without."""
    stream = says(reasoning_content="Done.")
    plain = says()
    thinker, other = Server(lambda _: True, stream), Server(lambda said: len(said) == 2, plain)
    session = gateway.session()
    async with thinker.listening():
        assert await ask(session) == ("Done.", "It is 42.")
    async with other.listening():
        assert await ask(session) == ("", "It is 42.")
    assert [said["reasoning_content"] for said in other.refused] == ["Done."]
