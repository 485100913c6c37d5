"""Runs of several blocks: each writes a part of the message, and the last one ends it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from midstream.client import Midstream, MidstreamSync
from midstream.ids import SessionId
from midstream.store.keys import Keys
from tests.support.push import AGENT_KEY, answer_of
from tests.support.sessions import text_of

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment
    from tests.support.sessions import Session

pytestmark = pytest.mark.anyio

JOB: dict[str, Any] = {"key": "job", "text": "Go.", "on_retry": "continue"}


async def run_of(session: Session) -> dict[str, Any]:
    """Return the session's newest run, as its snapshot shows it."""
    run: dict[str, Any] = (await session.snapshot())["runs"][-1]
    return run


async def test_blocks_with_one_key_make_one_message(client: Midstream, session: Session) -> None:
    """A step each; the run is open between them, and finished by the last one."""
    for number in range(3):
        on_exit: Any = "leave" if number < 2 else "end"
        async with client.run(session.id, **JOB, on_exit=on_exit) as run:
            assert text_of(run.message) == "".join(f"part-{n} " for n in range(number))
            await run.step()
            await run.text(f"part-{number} ")
        assert run.outcome == (None if number < 2 else "finished")
        assert (await run_of(session)).get("outcome") == run.outcome
    answer = await answer_of(session)
    texts = [part["text"] for part in answer["parts"] if part["type"] == "text"]
    assert texts == ["part-0 ", "part-1 ", "part-2 "]


async def test_left_run_waits_as_long_as_its_block_has_said(
    client: Midstream, pushed: Deployment, session: Session
) -> None:
    """Longer than the lease of its claim, also if an exception has left it."""

    def term_ms() -> int:
        return int(
            pushed.redis.client.hget(Keys().session(SessionId(session.id)).meta, "term") or 0
        )

    async with client.run(session.id, **JOB) as run:
        run.suspend(600)
    assert term_ms() == 600_000
    with pytest.raises(LookupError):
        async with client.run(session.id, **JOB, on_error="leave") as run:
            run.suspend(900)
            raise LookupError
    assert term_ms() == 900_000


async def test_exception_ends_a_run_that_its_block_would_have_left(
    client: Midstream, session: Session
) -> None:
    """As `on_error` says, not `on_exit`."""
    with pytest.raises(LookupError):
        async with client.run(session.id, **JOB, on_exit="leave") as run:
            await run.text("One ")
            raise LookupError
    assert run.outcome == "failed"


async def test_stop_ends_a_run_that_its_block_would_have_left(
    client: Midstream, session: Session
) -> None:
    """Heard while the block is under way."""
    waiting = asyncio.Event()

    async def block() -> str | None:
        async with client.run(session.id, **JOB, on_exit="leave") as run:
            await run.text("One ")
            await run.flush()
            waiting.set()
            await asyncio.Event().wait()
        return run.outcome

    writing = asyncio.create_task(block())
    await waiting.wait()
    await session.stop()
    assert await writing == "stopped"


async def test_threads_leave_runs_too(pushed: Deployment, session: Session) -> None:
    """Without `await`."""

    def blocks() -> None:
        with MidstreamSync([gateway.at.url for gateway in pushed.gateways], key=AGENT_KEY) as sync:
            with sync.run(session.id, **JOB) as run:
                run.text("One ")
                run.suspend(60)
            with sync.run(session.id, **JOB, on_exit="leave") as run:
                run.text("two ")
            with sync.run(session.id, **JOB) as run:
                run.text("three.")

    await asyncio.to_thread(blocks)
    assert text_of(await answer_of(session)) == "One two three."


async def test_run_that_writes_its_answer_again_is_one_block() -> None:
    """Each block would have to repeat those before it."""
    client = Midstream("http://127.0.0.1:1")
    with pytest.raises(ValueError, match="continue"):
        client.run("s", key="job", text="Go.", on_exit="leave")
