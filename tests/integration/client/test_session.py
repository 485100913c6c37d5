"""A session in the hands of a program: it looks, follows, sends, stops and deletes."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from midstream.client import (
    ChunksEvent,
    ErasedEvent,
    MessageEvent,
    Midstream,
    MidstreamSync,
    RefusedError,
    RunEvent,
    SnapshotEvent,
)
from tests.support.processes import eventually
from tests.support.proxy import faulty_proxy
from tests.support.push import AGENT_KEY
from tests.support.recipes import recipes
from tests.support.sessions import text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from midstream.client import Session, SessionEvent, SyncSession
    from tests.support.fixtures import Deployment
    from tests.support.simulator import HeldAnswer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

QUESTION = "How do rivers move? [[tokens=80 rate=200]]"


@pytest.fixture
def program(client: Midstream, pushed: Deployment) -> Session:
    """A new session."""
    return client.session(pushed.session().id)


def tells_an_end(event: SessionEvent) -> bool:
    """Whether the event says that the session's one run has ended."""
    match event:
        case RunEvent():
            return not event.run.is_open
        case SnapshotEvent():
            return any(not run.is_open for run in event.snapshot.runs)
    return False


async def test_reader_sees_each_chunk_once_whatever_is_cut(pushed: Deployment) -> None:
    """Its connection is reset again and again; it resumes by itself, at either gateway."""
    held = pushed.simulator.held(tokens=60, after=30)
    id_ = pushed.session().id
    seen: list[SessionEvent] = []

    def comes_back(before: int) -> bool:
        return first.connections + second.connections > before

    async with (
        faulty_proxy(pushed.gateways[0].at.port, [None, 40, 1]) as first,
        faulty_proxy(pushed.gateways[1].at.port, [0, 60]) as second,
        Midstream([f"http://127.0.0.1:{each.port}" for each in (first, second)]) as client,
        aclosing(client.session(id_).events()) as events,
    ):
        session = client.session(id_)
        sent = await session.send(held.question)
        async for event in events:
            seen.append(event)
            before = first.connections + second.connections
            first.cut_all()
            second.cut_all()
            if len(seen) == 1:
                assert before >= 6
                releasing = asyncio.create_task(release_once(partial(comes_back, before), held))
            if tells_an_end(event):
                break
        await releasing
        snapshot = await session.snapshot()
    chunks = [event for event in seen if isinstance(event, ChunksEvent)]
    assert isinstance(seen[0], SnapshotEvent)
    assert not any(isinstance(event, SnapshotEvent) for event in seen[1:])
    assert {event.run_id for event in chunks} == {sent.run_id}
    following = chunks[0].first
    for event in chunks:
        assert event.first == following
        following += len(event.chunks)
    question, answer = snapshot.messages
    assert (question["id"], text_of(question)) == (sent.message_id, held.question)
    assert text_of(answer).endswith("".join(event.text for event in chunks))
    assert [e.message for e in seen if isinstance(e, MessageEvent)] == [answer]


async def release_once(condition: Callable[[], bool], held: HeldAnswer) -> None:
    """Let an answer continue when the reader has come back."""
    await eventually(condition, "the reader connects again", 30)
    await held.release()


async def test_reader_goes_on_from_a_position_of_an_earlier_process(program: Session) -> None:
    """The position of an event is enough to continue after it."""
    seen: list[SessionEvent] = []
    async with aclosing(program.events()) as events:
        empty = await anext(events)
        assert isinstance(empty, SnapshotEvent)
        assert (empty.snapshot.messages, empty.position) == ([], None)
        await program.send(QUESTION)
        async for event in events:
            seen.append(event)
            if tells_an_end(event):
                break
    begin = max(i for i, event in enumerate(seen) if isinstance(event, SnapshotEvent))
    async with aclosing(program.events(after=seen[begin].position)) as events:
        assert [await anext(events) for _ in seen[begin + 1 :]] == seen[begin + 1 :]


async def test_send_whose_answer_is_lost_is_sent_once(pushed: Deployment) -> None:
    """The same request again gets the run of the first one."""
    port = pushed.gateways[0].at.port
    async with (
        faulty_proxy(port, [1, 12, 0]) as proxy,
        Midstream(f"http://127.0.0.1:{proxy.port}") as client,
    ):
        session = client.session(pushed.session().id)
        sent = await session.send(QUESTION)
        assert proxy.connections >= 4
        snapshot = await session.snapshot()
    assert [message["id"] for message in snapshot.messages][:1] == [sent.message_id]
    assert [run.id for run in snapshot.runs] == [sent.run_id]


async def test_program_queues_stops_and_deletes(program: Session, pushed: Deployment) -> None:
    """Each answer is what became of it; followers are told."""
    async with aclosing(program.events()) as events:
        await anext(events)  # it follows from here on
        first = await program.send(pushed.simulator.held().question)
        with pytest.raises(RefusedError) as refused:
            await program.send("And then?")
        assert refused.value.code == "run_active"
        second = await program.send("And then?", on_active="queue")
        assert (first.position, second.position, second.run_id) == (0, 1, None)
        snapshot = await program.snapshot()
        assert [entry.id for entry in snapshot.queue.entries] == [second.message_id]
        assert [run.is_open for run in snapshot.runs] == [True]
        assert await program.stop(run_id=first.run_id) == [first.run_id]
        assert await program.stop() == []
        assert [run.outcome for run in (await program.snapshot()).runs] == ["stopped"]
        await program.delete()
        await program.delete()
        async for event in events:
            if isinstance(event, ErasedEvent):
                break
        last = await anext(events)
        assert isinstance(last, SnapshotEvent)
        assert last.position is None
    with pytest.raises(RefusedError) as gone:
        await program.snapshot()
    assert gone.value.code == "session_not_found"


async def test_program_is_present_only_if_it_says_so(program: Session) -> None:
    await program.send("How do rivers move? [[tokens=5 rate=0]]")
    assert await program.presence() == []
    async with aclosing(program.events(present=True)) as events:
        await anext(events)

        async def is_there() -> bool:
            return [(each.user, each.tabs) for each in await program.presence()] == [("", 1)]

        await eventually(is_there, "the program is seen", 30)


async def test_session_is_the_same_without_await(pushed: Deployment) -> None:
    """In a thread without an event loop; a loop that is left closes its connection."""

    def read(session: SyncSession) -> str:
        assert session.send(QUESTION).run_id
        for event in session.events():
            if tells_an_end(event):
                break
        assert session.presence() == []
        assert session.stop() == []
        answer = text_of(session.snapshot().messages[-1])
        session.delete()
        return answer

    def work() -> str:
        urls = [gateway.at.url for gateway in pushed.gateways]
        with MidstreamSync(urls, key=AGENT_KEY) as client:
            return read(client.session(pushed.session().id))

    assert await asyncio.to_thread(work)


async def test_recipe_of_the_page_asks_and_gets_the_answer(
    client: Midstream, pushed: Deployment
) -> None:
    """As it stands in docs/agents.md, twice in one session."""
    recipe: dict[str, Any] = {}
    exec(recipes()["follower.py"], recipe)  # noqa: S102 - ours, as readers paste it
    session = client.session(pushed.session().id)
    answers = [await recipe["ask"](client, session.id, QUESTION) for _ in range(2)]
    messages = (await session.snapshot()).messages
    assert [text_of(message) for message in messages if message["role"] == "assistant"] == answers


async def test_closed_client_reads_no_more(pushed: Deployment) -> None:
    client = await Midstream(pushed.gateways[0].at.url).open()
    session = client.session(pushed.session().id)
    async with aclosing(session.events()) as events:
        await anext(events)
        waiting = asyncio.create_task(_next(events))
        await client.close()
        with pytest.raises(RuntimeError, match="not open"):
            await waiting
    with pytest.raises(RuntimeError, match="not open"):
        await session.snapshot()


async def _next(events: AsyncIterator[SessionEvent]) -> SessionEvent:
    return await anext(events)
