"""An answer read along: bytes pass, chunks are shown, and a stop ends it well at any point."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from midstream.protocol.assembler import Assembler
from midstream.protocol.chunks import FinishStepChunk
from midstream.protocol.messages import UIMessage
from midstream.protocol.writer import ChunkWriter
from midstream.providers.anthropic.proxied import MESSAGES
from midstream.providers.openai_chat.proxied import CHAT
from midstream.providers.openai_responses.proxied import RESPONSES
from midstream.providers.part_ids import PartIds
from midstream.providers.passthrough.api import read_call
from midstream.providers.passthrough.ending import STOPPED_FIELD
from midstream.providers.passthrough.reader import EventsReader, WholeReader
from midstream.simulator import create_simulator
from tests.support.provider_calls import APIS, PATHS, body_for, events_in, final_of

if TYPE_CHECKING:
    from midstream.protocol.chunks import AnyChunk

pytestmark = pytest.mark.anyio

PROMPT: Final = '[[reasoning=4 tokens=6]] [[tool=weather {"city":"Paris"}]]'
PLAIN: Final = "[[tokens=8]]"
PROXIED: Final = {"chat": CHAT, "responses": RESPONSES, "messages": MESSAGES}


async def answer_of(api: str, prompt: str, *, stream: bool = True) -> bytes:
    """Ask the simulator, without a socket."""
    body = json.dumps(body_for(api, prompt, stream=stream)).encode()
    sent: list[dict[str, Any]] = []
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict[str, Any]:
        for message in messages:
            return message
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": f"/{PATHS[api]}",
        "headers": [(b"authorization", b"Bearer x"), (b"anthropic-version", b"2023-06-01")],
    }
    await create_simulator(seed="s")(scope, receive, send)
    assert sent[0]["status"] == 200, sent
    return b"".join(message.get("body", b"") for message in sent[1:])


def reader_for(api: str) -> EventsReader:
    """A reader of one answer."""
    call = read_call(PROXIED[api], json.dumps(body_for(api, PROMPT)).encode())
    numbers = itertools.count()

    def new_id() -> str:
        return f"id-{next(numbers)}"

    return EventsReader(PROXIED[api], PROXIED[api].translator(call, new_id, PartIds()), new_id)


def message_of(chunks: list[AnyChunk]) -> dict[str, Any]:
    """Return a client's message of the chunks, which must be legal; without provider metadata."""
    writer, assembler = ChunkWriter("m"), Assembler("m")
    written = [*ChunkWriter("m").finish()[:1]]
    writer.write(written[0])
    for chunk in [*chunks, FinishStepChunk()]:
        written += writer.admit(chunk)
    assembler.apply_all([*written, *writer.finish("stop")])
    message: dict[str, Any] = json.loads(bytes(UIMessage.parse(assembler.message()).raw))
    # Chat Completions begins streams with an empty text.
    message["parts"] = [part for part in message["parts"] if part.get("text") != ""]
    for part in message["parts"]:
        for field in ("toolCallId", "providerMetadata", "callProviderMetadata", "id"):
            part.pop(field, None)
    return message


@pytest.mark.parametrize("api", APIS)
async def test_bytes_pass_whole_however_they_are_cut(api: str) -> None:
    """And the chunks are the same; what passes is always whole events."""
    data = await answer_of(api, PROMPT)
    shown = []
    for size in (1, 7, 1000, len(data)):
        reader, passed = reader_for(api), b""
        chunks: list[AnyChunk] = []
        for at in range(0, len(data), size):
            more, new = reader.receive_data(data[at : at + size])
            passed += more
            chunks += new
            assert passed == b"" or passed.endswith(b"\n\n")
        more, new = reader.receive_eof()
        assert passed + more == data
        assert reader.failure is None
        shown.append(message_of([*chunks, *new]))
    assert all(message == shown[0] for message in shown)
    assert any(part["type"] == "tool-weather" for part in shown[0]["parts"])


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("prompt", [PROMPT, PLAIN])
async def test_whole_answer_shows_the_same_message_as_a_streamed_one(api: str, prompt: str) -> None:
    """There is one translation of each API."""
    streamed = reader_for(api)
    _, chunks = streamed.receive_data(await answer_of(api, prompt))
    chunks += streamed.receive_eof()[1]

    call = read_call(PROXIED[api], json.dumps(body_for(api, prompt, stream=False)).encode())
    numbers = itertools.count()
    translator = PROXIED[api].translator(call, lambda: f"id-{next(numbers)}", PartIds())
    whole = WholeReader(PROXIED[api], translator)
    body = await answer_of(api, prompt, stream=False)
    assert whole.receive_data(body) == (body, [])
    _, found = whole.receive_eof()

    assert whole.failure is None
    assert message_of(found) == message_of(chunks)
    assert whole.result.finish_reason == streamed.result.finish_reason
    assert whole.result.model == streamed.result.model


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("prompt", [PROMPT, PLAIN, "[[refuse]]"])
async def test_answer_stopped_after_any_event_is_a_whole_one_to_its_sdk(
    api: str, prompt: str
) -> None:
    """The SDK's helper finds an end that says "stopped", with everything that came before."""
    data = await answer_of(api, prompt)
    frames = [frame + b"\n\n" for frame in data.split(b"\n\n")[:-1]]
    for count in range(len(frames) + 1):
        reader = reader_for(api)
        passed, _ = reader.receive_data(b"".join(frames[:count]) + b'data: {"cut')
        last = reader.close()
        assert last is not None
        final = final_of(api, passed + last)
        if count == len(frames):
            assert last == b""
            continue
        if last:
            assert STOPPED_FIELD in last.decode()
            assert last.startswith(b": midstream-stopped\n\n")
        _assert_stopped(api, final, passed)


def _assert_stopped(api: str, final: Any, passed: bytes) -> None:
    """The text of the final object is all that had come."""
    if api == "chat":
        deltas = [
            choice["delta"].get("content") or ""
            for event in events_in(passed)
            if event != "[DONE]"
            for choice in event["choices"]
        ]
        assert (final.choices[0].message.content or "") == "".join(deltas)
        assert final.choices[0].finish_reason in ("stop", "tool_calls")
    elif api == "responses":
        came = [e["delta"] for e in events_in(passed) if e["type"] == "response.output_text.delta"]
        assert final.output_text == "".join(came)
        assert final.status in ("completed", "in_progress")
    else:
        came = [
            event["delta"]["text"]
            for event in events_in(passed)
            if event["type"] == "content_block_delta" and "text" in event["delta"]
        ]
        texts = [block.text for block in final.content if block.type == "text"]
        assert "".join(texts) == "".join(came)
        assert final.stop_reason is not None


@pytest.mark.parametrize("api", APIS)
async def test_answer_that_cannot_be_read_passes_all_the_same(api: str) -> None:
    """An event without an end is given up at its limit; the bytes go on as they come."""
    reader = reader_for(api)
    piece = b"data: " + b"x" * (1 << 20)
    passed = b"".join(reader.receive_data(piece)[0] for _ in range(20))
    passed += reader.receive_eof()[0]

    assert passed == piece * 20
    assert reader.failure is not None
    assert reader.close() is None


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"output":1,"choices":1,"content":1}'])
@pytest.mark.parametrize("api", APIS)
def test_whole_answer_of_another_shape_passes_all_the_same(api: str, body: bytes) -> None:
    """The run fails with a sentence."""
    call = read_call(PROXIED[api], json.dumps(body_for(api, "x", stream=False)).encode())
    reader = WholeReader(PROXIED[api], PROXIED[api].translator(call, lambda: "id", PartIds()))

    assert reader.receive_data(body) == (body, [])
    reader.receive_eof()
    assert reader.failure is not None
