"""Messages for the answers that workers write, by the client: over two gateways, once each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from midstream.client import Midstream, MidstreamSync
from tests.support.processes import eventually
from tests.support.push import AGENT_KEY, answer_of
from tests.support.sessions import text_of, user_message

if TYPE_CHECKING:
    from midstream.client import Run, SyncRun
    from tests.support.fixtures import Deployment
    from tests.support.sessions import Session

pytestmark = pytest.mark.anyio

LIMIT_S = 30


async def steer(session: Session, name: str, **more: Any) -> dict[str, Any]:
    body = {"message": user_message(f"say {name}", name), **more}
    status, answer = await session.at.call("POST", f"/api/chat/{session.id}/steer", body)
    assert status in (200, 202), answer
    return dict(answer)


def shape_of(message: Any) -> list[str]:
    """Its parts: texts as they are, messages that were taken up by their ids."""
    kept = [part for part in message["parts"] if part["type"] in ("text", "steering-message")]
    return [part.get("text", part.get("id")) for part in kept]


async def taken(run: Run) -> list[str]:
    """Take what waits, once there is something."""
    assert run.steers is not None
    assert await asyncio.wait_for(run.steers.arrival(), LIMIT_S)
    return [message.text for message in await run.take_steering()]


async def test_worker_takes_messages_between_two_pieces_of_its_work(
    client: Midstream, pushed: Deployment, session: Session
) -> None:
    there = session.through(pushed.gateways[1].at)
    async with client.run(session.id, key="job", text="Go.", steering=True) as run:
        await run.text("so far")
        assert not await run.take_steering()
        told = asyncio.create_task(steer(there, "s1", waitMs=20_000))
        assert await taken(run) == ["say s1"]
        outcome = await told
        assert (outcome["type"], outcome["stepNumber"]) == ("delivered", 1)
        await run.text("changed")
    assert shape_of(await answer_of(session)) == ["so far", "s1", "changed"]
    assert run.outcome == "finished"


async def test_task_beside_the_body_follows_messages_until_the_run_ends(
    client: Midstream, session: Session
) -> None:
    heard: list[str] = []
    more = asyncio.Event()

    async def listen(run: Run) -> None:
        async for message in run.steering:
            heard.append(message.text)
            more.set()

    async with client.run(session.id, key="job", text="Go.", steering=True) as run:
        listening = asyncio.create_task(listen(run))
        for name in ("s1", "s2"):
            await steer(session, name)
            await asyncio.wait_for(more.wait(), LIMIT_S)
            more.clear()
        await run.text("done")
    await asyncio.wait_for(listening, LIMIT_S)
    assert heard == ["say s1", "say s2"]
    assert shape_of(await answer_of(session)) == ["s1", "s2", "done"]


async def test_stop_ends_what_follows_messages(client: Midstream, session: Session) -> None:
    async with client.run(session.id, key="job", text="Go.", steering=True) as run:
        await run.text("so far")
        stopping = asyncio.create_task(session.stop())
        async for message in run.steering:
            pytest.fail(f"nobody has said {message.text}")
    await stopping
    assert run.outcome == "stopped"


@pytest.mark.parametrize("on_retry", ["replay", "continue"])
async def test_attempt_after_a_crash_has_each_message_once(
    client: Midstream, session: Session, on_retry: Any
) -> None:
    """What the earlier one had written is there again; what it had only received is given again."""
    options: dict[str, Any] = {
        "key": "job", "text": "Go.", "steering": True, "on_retry": on_retry, "on_error": "leave",
    }  # fmt: skip
    with pytest.raises(ZeroDivisionError):
        async with client.run(session.id, **options) as run:
            await run.text("one")
            await steer(session, "s1")
            assert await taken(run) == ["say s1"]
            await run.text("two")
            await run.flush()
            await steer(session, "s2")
            assert run.steers is not None
            await asyncio.wait_for(run.steers.arrival(), LIMIT_S)
            raise ZeroDivisionError
    async with client.run(session.id, **options) as run:
        if on_retry == "replay":
            await run.text("one")
            assert await taken(run) == ["say s1"]
            await run.text("two")
        assert await taken(run) == ["say s2"]
        await run.text("three")
    assert shape_of(await answer_of(session)) == ["one", "s1", "two", "s2", "three"]
    assert [(await steer(session, name))["type"] for name in ("s1", "s2")] == ["delivered"] * 2
    assert (await session.snapshot())["queue"]["entries"] == []


async def test_worker_that_does_not_read_leaves_nobody_waiting(
    client: Midstream, session: Session
) -> None:
    """The message is answered next; the worker that asks for it is told what to change."""
    async with client.run(session.id, key="job", text="Go.") as run:
        await run.text("so far")
        told = await steer(session, "s1", waitMs=20_000)
        assert (told["type"], told["reason"]) == ("not-delivered", "unsupported")
        with pytest.raises(RuntimeError, match="steering=True"):
            await run.take_steering()

    async def answered() -> bool:
        messages = (await session.snapshot())["messages"]
        return [each["role"] for each in messages] == ["user", "assistant"] * 2

    await eventually(answered, "the message has an answer of its own")


async def test_worker_without_an_event_loop_takes_them_too(
    pushed: Deployment, session: Session
) -> None:
    def follow(run: SyncRun) -> list[str]:
        run.text("so far")
        heard = []
        for message in run.steering:
            heard.append(message.text)
            if len(heard) == 2:
                return heard
        return heard

    def write() -> list[str]:
        urls = [gateway.at.url for gateway in pushed.gateways]
        with (
            MidstreamSync(urls, key=AGENT_KEY) as client,
            client.run(session.id, key="job", text="Go.", steering=True) as run,
        ):
            heard = follow(run)
            assert run.take_steering() == []
        return heard

    working = asyncio.create_task(asyncio.to_thread(write))

    async def begun() -> bool:
        status, _ = await session.at.call("GET", f"/api/chat/{session.id}")
        return status == 200

    await eventually(begun, "the run is claimed")
    for name in ("s1", "s2"):
        assert (await steer(session, name, waitMs=20_000))["type"] == "delivered"
    assert await working == ["say s1", "say s2"]
    assert text_of(await answer_of(session)) == "so far"
