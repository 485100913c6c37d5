"""Effects of directives on an answer, as clients meet them."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import anthropic
import openai
import pytest
import uvloop

from midstream.simulator import create_simulator
from midstream.simulator.server import serve_simulator

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.simulator.conftest import Simulated

pytestmark = pytest.mark.anyio

HEADERS = {"authorization": "Bearer any", "anthropic-version": "2023-06-01"}
DELTAS = {
    "/anthropic/v1/messages": b'"type":"text_delta"',
    "/openai/v1/responses": b"event: response.output_text.delta",
    "/openai/v1/chat/completions": b'"delta":{"content":"',
}
ENDS = {
    "/anthropic/v1/messages": b"event: message_stop",
    "/openai/v1/responses": b"event: response.completed",
    "/openai/v1/chat/completions": b'"finish_reason":"stop"',
}
every_wire = pytest.mark.parametrize("path", list(DELTAS))


def body_for(path: str, prompt: str, *, stream: bool = True) -> dict[str, Any]:
    """Return a minimal request of the wire at `path`."""
    body: dict[str, Any] = {"model": "sim-instant", "stream": stream}
    if path.endswith("responses"):
        return {**body, "input": prompt}
    return {**body, "max_tokens": 200_000, "messages": [{"role": "user", "content": prompt}]}


def deltas_in(path: str, got: bytes) -> int:
    """Count the deltas that carry text."""
    return got.count(DELTAS[path])


async def read(sim: Simulated, path: str, prompt: str) -> tuple[bytes, bool]:
    """Return what arrived, and whether the response was ended properly."""
    got = bytearray()
    async with (
        aiohttp.ClientSession(headers=HEADERS) as session,
        session.post(sim.url + path, json=body_for(path, prompt)) as response,
    ):
        assert response.status == 200
        try:
            async for piece in response.content.iter_any():
                got += piece
        except (aiohttp.ClientPayloadError, ConnectionResetError):
            return bytes(got), False
    return bytes(got), True


@every_wire
async def test_cut_resets_the_connection_after_so_many_deltas(sim: Simulated, path: str) -> None:
    """`cut` ends in a broken response, after exactly the deltas asked for."""
    got, whole = await read(sim, path, "[[tokens=40 cut after=15]]")
    assert not whole
    assert deltas_in(path, got) == 15
    assert sim.app.journal.records[-1].ended == "cut"


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_cut_is_a_reset_on_every_loop(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    """The client's kernel sees RST, not an orderly end, and the server logs no error."""

    async def call() -> None:
        request = json.dumps(body_for("/openai/v1/responses", "[[cut after=5]]")).encode()
        async with serve_simulator(create_simulator()) as url:
            host, port = url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(
                b"POST /openai/v1/responses HTTP/1.1\r\nhost: sim\r\nauthorization: Bearer any\r\n"
                b"content-length: %d\r\n\r\n%b" % (len(request), request)
            )
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()

    factory = uvloop.new_event_loop if loop == "uvloop" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(call())
    assert not caplog.records


@every_wire
async def test_eof_ends_the_response_without_a_terminal_event(sim: Simulated, path: str) -> None:
    """`eof` is a proper end of the response, but not of the answer."""
    got, whole = await read(sim, path, "[[tokens=40 eof after=15]]")
    assert whole
    assert deltas_in(path, got) == 15
    assert ENDS[path] not in got


@every_wire
async def test_malformed_event_stands_in_an_answer_that_goes_on(sim: Simulated, path: str) -> None:
    """`malformed` adds an event that is not JSON; the answer is whole all the same."""
    got, whole = await read(sim, path, "[[tokens=40 malformed after=5]]")
    assert whole
    assert deltas_in(path, got) == 40
    assert got.count(b'"text": \n\n') == 1
    assert ENDS[path] in got


@every_wire
async def test_size_sets_the_bytes_of_every_delta(sim: Simulated, path: str) -> None:
    """`size` makes deltas of so many bytes."""
    got, _ = await read(sim, path, "[[tokens=30 size=64]]")
    assert deltas_in(path, got) == 30
    assert len(got) > 30 * 64


@every_wire
async def test_fifty_thousand_deltas_come_at_full_speed(sim: Simulated, path: str) -> None:
    """With `rate=0` nothing is lost in a long answer."""
    got, whole = await read(sim, path, "[[tokens=50000]]")
    assert whole
    assert deltas_in(path, got) == 50_000
    assert sim.app.journal.records[-1].events_sent > 50_000


async def test_anthropic_sdk_raises_the_error_of_mid_stream(sim: Simulated) -> None:
    """`error=overloaded` is Anthropic's error event."""
    with pytest.raises(anthropic.APIStatusError) as caught:
        async with sim.anthropic.messages.stream(
            model="sim-instant",
            max_tokens=500,
            messages=[{"role": "user", "content": "[[error=overloaded after=10]]"}],
        ) as stream:
            await stream.get_final_message()
    body: Any = caught.value.body
    assert body["error"] == {"type": "overloaded_error", "message": "Overloaded"}


async def test_openai_sdk_raises_the_error_of_mid_stream_of_a_chat(sim: Simulated) -> None:
    """`error=server` is OpenAI's error in a Chat Completions stream."""
    stream = await sim.openai.chat.completions.create(
        model="sim-instant",
        stream=True,
        messages=[{"role": "user", "content": "[[error=server after=3]]"}],
    )
    with pytest.raises(openai.APIError, match="Internal server error"):
        async for _ in stream:
            pass


async def test_openai_sdk_reads_the_error_event_of_a_response(sim: Simulated) -> None:
    """On the Responses wire an error is an event in sequence, and the last one."""
    stream = await sim.openai.responses.create(
        model="sim-instant", stream=True, input="[[error=rate_limit after=3]]"
    )
    got: list[Any] = [event async for event in stream]
    assert got[-1].type == "error"
    assert got[-1].code == "rate_limit_exceeded"
    assert got[-1].sequence_number == len(got) - 1


async def test_sdk_retries_what_fails_twice_and_succeeds(sim: Simulated) -> None:
    """`http=… times=2` fails two requests of a prompt; the SDK's third one is answered."""
    answer = await sim.openai.responses.create(
        model="sim-instant", input="[[http=529 times=2 retry=1ms tokens=3]]"
    )
    assert answer.status == "completed"
    statuses = [record.status for record in sim.app.journal.records]
    assert statuses == [529, 529, 200]


async def test_sdk_gives_up_on_what_always_fails(sim: Simulated) -> None:
    """`http=429` without `times` never succeeds."""
    with pytest.raises(anthropic.RateLimitError):
        await sim.anthropic.messages.create(
            model="sim",
            max_tokens=10,
            messages=[{"role": "user", "content": "[[http=429 retry=1ms]]"}],
        )
    assert [record.status for record in sim.app.journal.records] == [429, 429, 429]


async def test_echo_answers_with_the_history_as_it_was_received(sim: Simulated) -> None:
    """`echo` has one line a message, system included, with line breaks escaped."""
    answer = await sim.anthropic.messages.create(
        model="sim-instant",
        max_tokens=500,
        system="Be brief.",
        messages=[
            {"role": "user", "content": "one\ntwo"},
            {"role": "assistant", "content": "three"},
            {"role": "user", "content": "four [[echo]]"},
        ],
    )
    assert answer.content[0].type == "text"
    assert answer.content[0].text.split("\n") == [
        "system: Be brief.",
        "user: one\\ntwo",
        "assistant: three",
        "user: four [[echo]]",
    ]


@pytest.mark.parametrize("silence", ["first=10m", "stall=10m after=5", "headers=10m"])
@every_wire
async def test_disconnect_is_noticed_while_silent(sim: Simulated, path: str, silence: str) -> None:
    """A client that leaves is noticed at once, whatever the simulator waits for."""

    async def stay() -> None:
        async with (
            aiohttp.ClientSession(headers=HEADERS) as session,
            session.post(sim.url + path, json=body_for(path, f"[[{silence}]]")) as response,
        ):
            await response.read()

    client = asyncio.create_task(stay())
    begun = await sim.app.journal.wait_for(lambda record: record.ended is None)
    client.cancel()
    async with asyncio.timeout(30):
        ended = await sim.app.journal.wait_for(lambda record: record.ended is not None)
    assert ended is begun
    assert ended.ended == "disconnected"
    with pytest.raises(asyncio.CancelledError):
        await client


async def test_journal_tells_what_was_received(sim: Simulated) -> None:
    """`GET /sim/requests` has the body of each request and how it ended; DELETE forgets."""
    body = body_for("/openai/v1/responses", "Hi [[tokens=3]]")
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        async with session.post(f"{sim.url}/openai/v1/responses", json=body) as response:
            await response.read()
            request_id = response.headers["x-request-id"]
        async with session.get(f"{sim.url}/sim/requests") as response:
            (record,) = (await response.json())["requests"]
        async with session.delete(f"{sim.url}/sim/requests") as response:
            assert (await response.json())["requests"] == []
    assert record["body"] == body
    assert record["id"] == request_id
    assert (record["provider"], record["model"]) == ("openai", "sim-instant")
    assert (record["ended"], record["events_sent"]) == ("completed", 11)
    assert record["ended_at"] >= record["started_at"]


async def test_journal_is_not_served_unless_asked_for(tmp_path: Path) -> None:
    """A simulator in a gateway does not show its prompts; it can be on a Unix socket."""
    socket = str(tmp_path / "sim.sock")
    async with (
        serve_simulator(create_simulator(), uds=socket) as url,
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(socket), headers=HEADERS) as session,
        session.get(f"{url}/sim/requests") as response,
    ):
        assert response.status == 404


async def test_observer_is_told_of_begin_and_end() -> None:
    """In process, a callback sees each request begin and end."""
    seen: list[tuple[str, str | None]] = []
    app = create_simulator(observer=lambda record: seen.append((record.model, record.ended)))
    path = "/openai/v1/chat/completions"
    async with (
        serve_simulator(app) as url,
        aiohttp.ClientSession(headers=HEADERS) as session,
        session.post(url + path, json=body_for(path, "Hi", stream=False)) as response,
    ):
        assert response.status == 200
    assert seen == [("sim-instant", None), ("sim-instant", "completed")]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/anthropic/v1/nothing", 404),
        ("GET", "/anthropic/v1/messages", 405),
        ("GET", "/openai/v1/models/unknown", 404),
        ("GET", "/openai/v1/responses/resp_unknown", 404),
        ("POST", "/openai/v1/responses", 400),
        ("POST", "/anthropic/v1/messages", 400),
    ],
)
async def test_wrong_requests_are_answered_in_the_providers_shape(
    sim: Simulated, method: str, path: str, status: int
) -> None:
    """Unknown paths, methods and bodies that are not JSON get the provider's error."""
    async with (
        aiohttp.ClientSession(headers=HEADERS) as session,
        session.request(method, sim.url + path, data=b"{not json") as response,
    ):
        assert response.status == status
        answer = await response.json()
    assert answer["error"]["message"]
    assert ("request_id" in answer) == path.startswith("/anthropic")
