"""A worker that is cancelled while its run begins or ends: no run stays open."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import httpx2
import pytest

from midstream.client import Midstream, Run
from tests.support.processes import eventually
from tests.support.proxy import FaultyProxy, faulty_proxy
from tests.support.push import AGENT_KEY, answer_of, client_of
from tests.support.sessions import text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from midstream.client.run import OnError
    from tests.support.fixtures import Deployment
    from tests.support.sessions import Session

pytestmark = pytest.mark.anyio

CLAIM = b"POST /api/agent/runs HTTP"


@asynccontextmanager
async def through_proxy(pushed: Deployment) -> AsyncIterator[tuple[Midstream, FaultyProxy]]:
    """A client whose connections pass through a proxy."""
    async with faulty_proxy(pushed.gateways[0].at.port) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        async with Midstream(url, key=AGENT_KEY) as client:
            yield client, proxy


async def work(client: Midstream, session: Session, on_error: OnError = "fail") -> None:
    """Claim, and never come to the body."""
    async with client.run(session.id, key="job", text="Go.", on_error=on_error):
        raise AssertionError("the body must not begin")


async def states(session: Session) -> list[tuple[str, str | None]]:
    """State and outcome of the session's runs; none if it does not exist."""
    status, answer = await session.at.call("GET", f"/api/chat/{session.id}")
    runs = answer["runs"] if status == 200 else []
    return [(run["state"], run.get("outcome")) for run in runs]


async def opened(session: Session) -> None:
    """Wait until the session's run is open."""

    async def is_open() -> bool:
        return [state for state, _ in await states(session)] == ["open"]

    await eventually(is_open, "the run is open")


async def cancelled(task: asyncio.Task[None]) -> None:
    """Wait until a task has ended by its cancellation."""
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_claim_that_arrives_after_its_cancellation_leaves_no_open_run(
    pushed: Deployment, session: Session
) -> None:
    """The request is on its way, and nobody knows whether it has come."""
    async with through_proxy(pushed) as (client, proxy):
        proxy.delay(CLAIM)
        task = asyncio.create_task(work(client, session))
        await proxy.delays()
        task.cancel()
        await asyncio.sleep(0)
        proxy.arrive()
        await cancelled(task)
        assert await states(session) == [("ended", "failed")]


async def test_claim_whose_answer_is_late_leaves_no_open_run(
    pushed: Deployment, session: Session
) -> None:
    """The gateway has opened the run, and the worker was cancelled before it knew."""
    async with through_proxy(pushed) as (client, proxy):
        proxy.hold()
        task = asyncio.create_task(work(client, session))
        await opened(session)
        task.cancel()
        await asyncio.sleep(0)
        proxy.release()
        await cancelled(task)
        assert await states(session) == [("ended", "failed")]


async def test_claim_of_a_run_that_is_left_to_the_next_attempt_is_left_to_it(
    pushed: Deployment, session: Session
) -> None:
    """`on_error="leave"`: the next attempt takes the run over."""
    async with through_proxy(pushed) as (client, proxy):
        proxy.delay(CLAIM)
        task = asyncio.create_task(work(client, session, on_error="leave"))
        await proxy.delays()
        task.cancel()
        await cancelled(task)
        proxy.arrive()
        await opened(session)  # else it may come after the next one, and take the run from it
        async with client.run(session.id, key="job", text="Go.") as run:
            await run.text("Gone on.")
    assert await states(session) == [("ended", "finished")]


async def test_claim_that_was_never_sent_is_not_sent_after_its_cancellation(
    pushed: Deployment, session: Session
) -> None:
    """No gateway was there: the question does not appear in the session as one that failed."""
    tried = asyncio.Event()

    async def refuse(exchange: Coroutine[Any, Any, Any]) -> NoReturn:
        exchange.close()
        tried.set()
        raise httpx2.ConnectError("away")

    async with client_of(pushed) as client:
        send = client._gateways._send
        client._gateways._send = refuse  # type: ignore[method-assign]
        task = asyncio.create_task(work(client, session))
        await tried.wait()
        task.cancel()
        client._gateways._send = send  # type: ignore[method-assign]
        await cancelled(task)
    assert await states(session) == []


@pytest.mark.parametrize("unsent", [True, False])
async def test_answer_that_is_complete_is_finished_though_its_worker_is_cancelled(
    pushed: Deployment, session: Session, unsent: bool
) -> None:
    """Its last words are on their way, or its end is."""
    leaving = asyncio.Event()

    async def answer(client: Midstream, proxy: FaultyProxy) -> None:
        async with client.run(session.id, key="job", text="Go.") as run:
            await run.text("All of")
            await run.flush()
            proxy.hold()
            if unsent:
                await run.text(" it.")
            _when_left(run, leaving)

    async with through_proxy(pushed) as (client, proxy):
        task = asyncio.create_task(answer(client, proxy))
        await leaving.wait()
        task.cancel()
        await asyncio.sleep(0)
        proxy.release()
        await cancelled(task)
    assert await states(session) == [("ended", "finished")]
    assert text_of(await answer_of(session)) == ("All of it." if unsent else "All of")


def _when_left(run: Run, leaving: asyncio.Event) -> None:
    """Set the event once the run's block waits for its end."""
    delivery = run._delivery
    assert delivery is not None
    end = delivery.end

    async def told(*args: object, **options: object) -> None:
        leaving.set()
        await end(*args, **options)  # type: ignore[arg-type]

    delivery.end = told  # type: ignore[method-assign]
