"""Runs beside the main one: their writers, their readers, and what a person sees of them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from msgspec.structs import replace

from midstream.errors import (
    ConflictError,
    FencedError,
    KeyReusedError,
    ParentEndedError,
    RunNotFoundError,
    SessionNotFoundError,
    SideRunsFullError,
)
from midstream.ids import RunId, SessionId
from midstream.sessions.types import Idle, PushedEnd, PushedRun
from midstream.store.calls import RunKey
from midstream.store.records import RunOutcome
from tests.support.played import ALICE, BOB, Played, Reading, Script, send, user_message
from tests.support.processes import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from midstream.protocol.messages import UIMessage
    from midstream.sessions.service import Sessions

pytestmark = pytest.mark.anyio

S = SessionId("chat-1")
STEP = b'{"type":"start-step"}'
OPEN = b'{"type":"text-start","id":"t"}'


def delta(text: str) -> bytes:
    return msgspec.json.encode({"type": "text-delta", "id": "t", "delta": text})


def key_of(run: PushedRun) -> RunKey:
    return RunKey(session_id=S, run_id=run.run.id, fence=run.fence)


async def begin(sessions: Sessions, script: Script) -> tuple[Played, Reading]:
    """Let a person send, and the main run begin."""
    reading = Reading(await sessions.start(ALICE, send(S, user_message("u1", "hello"))))
    return await script.next(), reading


async def claim(sessions: Sessions, name: str = "p1", parent: RunId | None = None) -> PushedRun:
    job = send(S, user_message(name, f"look for {name}"), request_key=f"job-{name}")
    request = replace(job, side=True, parent_run_id=parent)
    return await sessions.pushed.claim(ALICE, request, "researcher")


async def say(sessions: Sessions, run: PushedRun, text: str) -> None:
    await sessions.pushed.append(ALICE, key_of(run), 1, [STEP, OPEN, delta(text)])


async def end(sessions: Sessions, run: PushedRun, first: int = 4) -> None:
    await sessions.pushed.end(ALICE, key_of(run), PushedEnd(first=first, outcome="finished"))


async def shown(sessions: Sessions, *, side: bool) -> list[dict[str, Any]]:
    snapshot = await sessions.snapshot(ALICE, S, side=side)
    return [msgspec.json.decode(message) for message in snapshot.messages]


def json_parts(message: UIMessage) -> dict[str, Any]:
    return {"parts": [msgspec.json.decode(part) for part in message.parts]}


async def beside(sessions: Sessions) -> list[RunId]:
    return [run.id for run in (await sessions.snapshot(ALICE, S, side=True)).runs if run.side]


def texts(message: dict[str, Any]) -> str:
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


@asynccontextmanager
async def following(sessions: Sessions, *, side: bool) -> AsyncIterator[list[tuple[str, Any]]]:
    """Collect the events of a session's feed."""
    events: list[tuple[str, Any]] = []

    async def follow() -> None:
        async with await sessions.follow(ALICE, S, None, side=side) as reader:
            async for item in reader:
                if isinstance(item, Idle):
                    continue
                events.append((item.event, msgspec.json.decode(item.data)))

    task = asyncio.create_task(follow())
    try:
        yield events
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_side_run_is_shown_to_clients_that_ask_and_to_no_model(
    sessions: Sessions, script: Script
) -> None:
    """Its prompt and its message hang under the question, and move no head."""
    main, reading = await begin(sessions, script)
    run = await claim(sessions)
    await say(sessions, run, "found it")
    both = await sessions.snapshot(ALICE, S, side=True)
    assert [each.id for each in both.runs][1:] == [run.run.id]
    assert len((await sessions.snapshot(ALICE, S)).runs) == 1
    assert [texts(msgspec.json.decode(each)) for each in run.messages] == ["hello", "look for p1"]
    await end(sessions, run)
    main.open()
    main.tell("Hi")
    main.end()
    await reading.end()

    assert [texts(each) for each in await shown(sessions, side=False)] == ["hello", "Hi"]
    seen = await shown(sessions, side=True)
    assert [texts(each) for each in seen] == ["hello", "look for p1", "found it", "Hi"]
    mark = {"runId": run.run.id, "parentId": "u1"}
    assert [each["metadata"]["midstream"]["side"] for each in seen[1:3]] == [mark, mark]
    assert (await sessions.snapshot(ALICE, S, side=True)).branches == {}
    following = Reading(await sessions.start(ALICE, send(S, user_message("u2", "and?"))))
    asked = await script.next()
    prompt = [json_parts(message) for message in asked.request.history]
    assert [texts(message) for message in prompt] == ["hello", "Hi", "and?"]
    asked.finish()
    await following.end()


async def test_side_run_is_live_for_followers_that_ask(sessions: Sessions, script: Script) -> None:
    """Others are told nothing of it, and read the main run on."""
    main, reading = await begin(sessions, script)
    async with following(sessions, side=True) as asking, following(sessions, side=False) as other:
        await eventually(lambda: bool(asking and other), "both have their snapshot")
        run = await claim(sessions)
        await say(sessions, run, "found it")
        await end(sessions, run)
        main.finish()
        await reading.end()
        ends = [
            lambda events=each: events[-1][1].get("state") == "ended" for each in (asking, other)
        ]
        for ended in ends:
            await eventually(ended, "the main run has ended")
    of_side = [event for event in asking if event[1].get("runId") == run.run.id]
    assert {kind for kind, _ in of_side} == {"chunks", "message"}
    messages = [data for kind, data in of_side if kind == "message"]
    assert [(data["side"], texts(data["message"])) for data in messages] == [
        (True, "look for p1"), (True, "found it"),
    ]  # fmt: skip
    states = [data["state"] for kind, data in asking if kind == "run" and data.get("side")]
    assert states == ["open", "ended"]
    assert not [event for event in other if "side" in str(event[1])]


async def test_side_run_is_refused_with_the_reason(sessions: Sessions, script: Script) -> None:
    with pytest.raises(SessionNotFoundError):
        await claim(sessions)
    main, reading = await begin(sessions, script)
    runs = [await claim(sessions, f"p{i}") for i in range(8)]
    with pytest.raises(SideRunsFullError, match="8 of them"):
        await claim(sessions, "p8")
    assert (await claim(sessions, "p3")).run.id == runs[3].run.id
    await end(sessions, runs[0], first=1)
    assert (await claim(sessions, "p8")).run.side
    with pytest.raises(ConflictError):
        await sessions.pushed.claim(
            ALICE,
            replace(send(S, user_message("u1", "?"), request_key="k"), side=True),
            "researcher",
        )
    with pytest.raises(KeyReusedError):
        await sessions.pushed.claim(
            ALICE,
            replace(send(S, user_message("p4", "else"), request_key="job-p4"), side=True),
            "researcher",
        )
    with pytest.raises(RunNotFoundError):
        await claim(sessions, "p9", parent=RunId("run_unknown"))
    with pytest.raises(SessionNotFoundError):
        await sessions.pushed.claim(
            BOB, replace(send(S, user_message("b", "?"), request_key="b"), side=True), "researcher"
        )
    main.finish()
    await reading.end()
    with pytest.raises(ParentEndedError):
        await claim(sessions, "p9")
    with pytest.raises(ParentEndedError):
        await claim(sessions, "p9", parent=runs[0].run.id)


async def test_send_of_a_person_meets_no_side_run(sessions: Sessions, script: Script) -> None:
    main, reading = await begin(sessions, script)
    run = await claim(sessions)
    main.finish()
    await reading.end()
    again = Reading(await sessions.start(ALICE, send(S, user_message("u2", "and?"))))
    (await script.next()).finish()
    await again.end()
    await say(sessions, run, "late")
    await end(sessions, run)
    assert "late" in [texts(each) for each in await shown(sessions, side=True)]


def waiting_for_stop(sessions: Sessions, runs: Sequence[PushedRun]) -> list[asyncio.Task[None]]:
    """Let workers wait until they are told of a stop, and end their runs."""

    async def work(run: PushedRun) -> None:
        while (await sessions.pushed.renew(ALICE, key_of(run), 30)).stopped_by is None:
            pass
        await sessions.pushed.end(ALICE, key_of(run), PushedEnd(first=1, outcome="stopped"))

    return [asyncio.create_task(work(run)) for run in runs]


@pytest.mark.parametrize("door", ["all", "message", "run"])
async def test_stop_of_an_answer_stops_what_works_for_it(
    sessions: Sessions, script: Script, door: str
) -> None:
    """Also what works for its side runs; and none can be opened that would escape it."""
    main, reading = await begin(sessions, script)
    first = await claim(sessions)
    second = await claim(sessions, "p2", parent=first.run.id)
    workers = waiting_for_stop(sessions, [first, second])
    run_id = main.request.run_id
    named: dict[str, Any] = {"message": {"message_id": "u1"}, "run": {"run_id": run_id}}
    stopped = await sessions.stop(ALICE, S, **named.get(door, {}))
    await asyncio.gather(*workers)
    await reading.end()
    assert stopped == [run_id, first.run.id, second.run.id]
    with pytest.raises(ParentEndedError):
        await claim(sessions, "p3")


async def test_stop_of_a_side_run_leaves_the_others_alone(
    sessions: Sessions, script: Script
) -> None:
    main, reading = await begin(sessions, script)
    first, second = await claim(sessions), await claim(sessions, "p2")
    workers = waiting_for_stop(sessions, [first])
    assert await sessions.stop(ALICE, S, run_id=first.run.id) == [first.run.id]
    await asyncio.gather(*workers)
    assert await beside(sessions) == [second.run.id]
    main.finish()
    await reading.end()
    workers = waiting_for_stop(sessions, [second])
    assert await sessions.stop(ALICE, S) == [second.run.id]
    await asyncio.gather(*workers)


async def test_later_attempt_takes_a_side_run_over(
    sessions: Sessions, other: Sessions, script: Script
) -> None:
    await begin(sessions, script)
    run = await claim(sessions)
    await say(sessions, run, "found")
    again = await claim(other)
    assert (again.run.id, again.next) == (run.run.id, 4)
    with pytest.raises(FencedError):
        await sessions.pushed.append(ALICE, key_of(run), 4, [delta("!")])
    await other.pushed.append(ALICE, key_of(again), 4, [delta(" it")])
    await end(other, again, first=5)
    assert "found it" in [texts(each) for each in await shown(sessions, side=True)]


async def test_side_run_of_a_dead_worker_is_closed(sessions: Sessions, script: Script) -> None:
    """Its lease is its own; the main run is left alone."""
    main, reading = await begin(sessions, script)
    run = await claim(sessions)
    await say(sessions, run, "half of")
    async with following(sessions, side=True) as events:
        await eventually(
            lambda: bool(events) and events[-1][1].get("outcome") == "interrupted", "it is closed"
        )
    assert events[-1][1]["id"] == run.run.id
    assert RunOutcome(events[-1][1]["outcome"]) is RunOutcome.INTERRUPTED
    assert "half of" in [texts(each) for each in await shown(sessions, side=True)]
    main.finish()
    await reading.end()
