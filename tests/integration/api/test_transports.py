"""Each transport of the AI SDK against a real gateway: send, resume, stop, follow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.sessions import Session, Transcript, user_message
from tests.support.websocket import open_socket

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.wire import Endpoint

from tests.integration.api.conftest import Served

pytestmark = pytest.mark.anyio

SHORT_ANSWER = "[[tokens=20 rate=0 first=0]] hello"
LONG_ANSWER = "[[tokens=100000 rate=50 first=0]] hello"


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A gateway for all tests of this module; each has sessions of its own."""
    folder: Path = tmp_path_factory.mktemp("transports")
    served = Served(folder).wait_serving()
    yield served.at
    served.process.end()


async def test_second_reader_gets_the_state_and_then_the_same_chunks(at: Endpoint) -> None:
    """A reload mid-stream: `start`, what was said so far, then live, to the same end."""
    session = Session(at)
    first, second = Transcript(), Transcript()
    async with session.sending(LONG_ANSWER) as sent:
        async for chunk in first.follow(sent):
            if chunk["type"] == "text-delta":
                break
        async with at.request("GET", f"/api/chat/{session.id}/stream") as resumed:
            async for _ in second.follow(resumed):
                if len(second.chunks) == 8:
                    status, stopped = await at.call("POST", f"/api/chat/{session.id}/stop")
                    assert (status, stopped) == (
                        200,
                        {"stopped": [sent.headers["x-midstream-run-id"]]},
                    )
        await first.read(sent)
    assert first.text == second.text
    assert first.types[-2:] == second.types[-2:] == ["abort", "finish"]
    assert first.done
    assert second.done


async def test_reader_continues_after_a_chunk(at: Endpoint) -> None:
    """With what it saw before, it has the run exactly once; also after the run has ended."""
    session = Session(at)
    whole = await session.send(SHORT_ANSWER)
    run = (await at.call("GET", f"/api/chat/{session.id}"))[1]["runs"][0]["id"]
    assert whole.last_id is not None
    for after in range(whole.last_id + 1):
        rest = Transcript()
        path = f"/api/chat/{session.id}/stream?after={after}&runId={run}"
        async with at.request("GET", path) as response:
            await rest.read(response)
        assert rest.chunks == [
            chunk
            for chunk, number in zip(whole.chunks, whole.sequences, strict=True)
            if number is not None and number > after
        ]


async def test_websocket_sends_and_resumes(at: Endpoint) -> None:
    """The same run over the other wire, numbered without a hole."""
    session = Session(at)
    async with open_socket(at) as socket:
        request_id = await socket.send_message(session.id, SHORT_ANSWER)
        frames = [frame async for frame in socket.frames(request_id)]
        idle = [frame async for frame in socket.frames(await socket.resume(session.id))]
    assert [frame["type"] for frame in frames[:1] + frames[-1:]] == ["start", "end"]
    chunks = frames[1:-1]
    assert [frame["sequence"] for frame in chunks] == list(range(len(chunks)))
    assert chunks[-1]["chunk"]["type"] == "finish"
    assert [frame["type"] for frame in idle] == ["no-active"]


async def test_websocket_abort_stops_the_run(at: Endpoint) -> None:
    """A person pressed stop: another reader sees the run end."""
    session, watcher = Session(at), Transcript()
    async with open_socket(at) as socket:
        request_id = await socket.send_message(session.id, LONG_ANSWER)
        assert (await socket.next_frame(request_id))["type"] == "start"
        async with at.request("GET", f"/api/chat/{session.id}/stream") as response:
            await socket.send("abort", requestId=request_id)
            await watcher.read(response)
    assert watcher.types[-2:] == ["abort", "finish"]


async def test_workflow_client_reads_on_by_index(at: Endpoint) -> None:
    """Its POST has no chat id and is declared as text; the header names what to ask for."""
    headers = {"content-type": "text/plain;charset=UTF-8"}
    body = {"messages": [user_message(SHORT_ANSWER)]}
    whole, rest = Transcript(), Transcript()
    async with at.request("POST", "/api/chat", body, headers=headers) as response:
        name = response.headers["x-workflow-run-id"]
        await whole.read(response)
    async with at.request("GET", f"/api/chat/{name}/stream?startIndex=4") as response:
        await rest.read(response)
    assert rest.chunks == whole.chunks[4:]


async def test_text_client_gets_the_text(at: Endpoint) -> None:
    """TextStreamChatTransport: the deltas' text, and nothing else."""
    session = Session(at)
    async with session.sending(SHORT_ANSWER, query="?protocol=text") as response:
        text = (await response.body()).decode()
    _, snapshot = await at.call("GET", f"/api/chat/{session.id}")
    said = [part["text"] for part in snapshot["messages"][1]["parts"] if part["type"] == "text"]
    assert text == "".join(said)


async def test_feed_shows_a_session_that_does_not_exist_yet_begin(at: Endpoint) -> None:
    """Another tab waits on the chat before anything was sent: it sees the run open and end.

    The answer is stopped once the tab sees it: the end of one that ended before the tab has read
    the session's beginning is in its snapshot, and no event.
    """
    session = Session(at)
    seen: list[str] = []
    async with at.request("GET", f"/api/chat/{session.id}/events") as feed:
        events = feed.events()
        assert (await anext(events)).event == "snapshot"
        await session.begin(LONG_ANSWER)
        async for event in events:
            seen.append(str(event.event))
            if seen.count("chunks") == 1 and event.event == "chunks":
                await session.stop()
            if event.event == "run" and "ended" in event.data:
                assert event.id is not None
                assert json.loads(event.data)
                break
    assert "message" in seen
    assert "chunks" in seen


async def test_erased_session_is_gone(at: Endpoint) -> None:
    """204, then 404, and not in the list."""
    session = Session(at)
    await session.send(SHORT_ANSWER)
    assert (await at.call("DELETE", f"/api/chat/{session.id}"))[0] == 204
    status, answer = await at.call("GET", f"/api/chat/{session.id}")
    assert (status, answer["error"]["code"]) == (404, "session_not_found")
    _, listed = await at.call("GET", "/api/chats")
    assert session.id not in [chat["id"] for chat in listed["chats"]]
