"""A run whose gateway is killed while others read it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from tests.support.sessions import Session, Transcript, text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.support.fixtures import Deployment
    from tests.support.gateway import Settings

TAKE_OVER_LIMIT_S: Final = 45.0
"""Limit for a takeover and the rest of the answer; with a short lease they take seconds."""

BACKGROUND: Final[Settings] = {
    "agents.responses": {"tools": ["tests.support.tools:work"], "tool_timeout_s": 60},
    "agents.responses.provider_options": {"background": True},
}
"""The agent `responses` answers in the background, and has a tool."""

SLOW: Final = "headers=8s"
"""Answers so late that a gateway is killed long before, and the next has to ask again."""

RESTARTING: Final[Settings] = {
    "agents.assistant": {
        "on_interruption": "restart",
        "tools": ["tests.support.tools:work"],
        "tool_timeout_s": 60,
    },
    "agents.assistant.client_tools.where": {"description": "Where the person is."},
}
"""The agent `assistant` runs a cut step again."""


def body_of(session: Session, text: str, agent: str) -> dict[str, Any]:
    """Return the body of a send to an agent."""
    return session.body(text, extra={"agent": agent})


async def begin(session: Session, text: str, agent: str) -> str:
    """Send to an agent, disconnect at once; return the run's id."""
    async with session.sending(text, extra={"agent": agent}) as response:
        assert response.status == 200, await response.body()
        return response.headers["x-midstream-run-id"]


async def control(deployment: Deployment, text: str, agent: str) -> Transcript:
    """Return the transcript of an undisturbed run; the same prompt gets the same answer."""
    return await deployment.session(-1).send(text, extra={"agent": agent})


@asynccontextmanager
async def reading(session: Session) -> AsyncIterator[tuple[Transcript, asyncio.Task[Transcript]]]:
    """Read the open run, chunk by chunk, during the block."""
    seen = Transcript()

    async def read() -> Transcript:
        async with session.resuming(query="?startIndex=0") as response:
            return await seen.read(response)

    task = asyncio.create_task(read(), name="reader")
    try:
        yield seen, task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def until(seen: Transcript, holds: Callable[[Transcript], bool]) -> None:
    """Wait until a condition holds for a reader's transcript."""
    async with asyncio.timeout(30):
        while not holds(seen):  # noqa: ASYNC110 - the event is in another process
            await asyncio.sleep(0.01)


def has_text(length: int) -> Callable[[Transcript], bool]:
    """Return the condition that a reader has `length` characters of text."""
    return lambda seen: len(seen.text) >= length


def reasoning_of(seen: Transcript) -> str:
    """Return the reasoning that a reader has seen."""
    return "".join(c["delta"] for c in seen.chunks if c["type"] == "reasoning-delta")


async def assert_seamless(session: Session, seen: Transcript, uncut: Transcript) -> None:
    """Check that a reader and the log have the chunks of an uncut run.

    Their types included; but a text may come in other pieces.
    """
    assert seen.done
    assert [c["type"] for c in seen.joined] == [c["type"] for c in uncut.joined]
    assert (seen.text, reasoning_of(seen)) == (uncut.text, reasoning_of(uncut))
    assert seen.chunks[-1]["finishReason"] == uncut.chunks[-1]["finishReason"]
    kept = await session.snapshot()
    assert [run["outcome"] for run in kept["runs"]] == ["finished"]
    assert kept["messages"][-1]["id"] == seen.chunks[0]["messageId"]
    assert text_of(kept["messages"][-1]) == seen.text
    usage = [c["messageMetadata"]["usage"]["totalTokens"] for c in (seen.chunks[-1],)]
    assert usage == [uncut.chunks[-1]["messageMetadata"]["usage"]["totalTokens"]]
