"""The client's departure, with uvicorn's cycle and with `receive` alone.

These tests fail when uvicorn's request cycle takes another shape than `direct_write` reads.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from midstream.api.streaming.departure import DepartedError, Departure
from midstream.api.streaming.direct_write import CycleWatch
from tests.support.garbage import garbage
from tests.support.processes import eventually
from tests.unit.gateway.server.served import LIMIT_S, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.unit.gateway.server.served import Raw

pytestmark = pytest.mark.anyio

REQUEST: Final = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n"


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Both event loops."""
    return "asyncio", {"use_uvloop": request.param}


class Waiting:
    """An ASGI application that waits in a block until its client leaves, or it may go on.

    Attributes:
        outcome: how the block has ended.
        tasks: those that were there in the block, besides the ones before it.
    """

    def __init__(self, *, wrapped: bool, patient: bool = False) -> None:
        self._wrapped = wrapped
        self._patient = patient
        self.entered = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.task: asyncio.Task[object] | None = None
        self.tasks = 0
        self.outcome = ""
        self.ended = asyncio.Event()

    async def __call__(self, _: Any, receive: Any, send: Any) -> None:
        own = receive

        async def wrapper() -> Any:
            return await own()

        await send({"type": "http.response.start", "status": 200, "headers": []})
        self.task = asyncio.current_task()
        before = len(asyncio.all_tasks())
        try:
            with Departure(wrapper if self._wrapped else own) as client:
                if self._patient:
                    client.allow()
                self.tasks = len(asyncio.all_tasks()) - before
                self.entered.set()
                await self.may_go_on.wait()
            self.outcome = "went on"
        except DepartedError:
            self.outcome = "departed"
        except asyncio.CancelledError:
            self.outcome = "cancelled"
            raise
        finally:
            self.ended.set()
        await send({"type": "http.response.body", "body": b"last", "more_body": False})


@asynccontextmanager
async def waiting(app: Waiting, request: bytes = REQUEST) -> AsyncIterator[Raw]:
    """Have the application serve one request, for the length of a block."""
    async with serving(app) as served, served.connected() as raw, asyncio.timeout(LIMIT_S):
        await raw.send(request)
        await app.entered.wait()
        yield raw


@pytest.mark.parametrize("wrapped", [False, True], ids=["the cycle", "receive"])
async def test_block_ends_when_the_client_leaves(wrapped: bool) -> None:
    """However it is seen; only a wrapped `receive` needs a task for it."""
    app = Waiting(wrapped=wrapped)
    async with waiting(app) as raw:
        assert app.tasks == int(wrapped)
        await raw.close()
        await app.ended.wait()
    assert app.outcome == "departed"


@pytest.mark.parametrize("wrapped", [False, True], ids=["the cycle", "receive"])
async def test_block_goes_on_while_the_client_is_there(wrapped: bool) -> None:
    """The rest of its request's body is no departure."""
    app = Waiting(wrapped=wrapped)
    head = b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 2\r\n\r\n"
    async with waiting(app, head) as raw:
        await raw.send(b"a")
        await raw.send(b"b")
        app.may_go_on.set()
        assert b"last" in await raw.read_until(b"\r\n0\r\n\r\n")
    assert app.outcome == "went on"


@pytest.mark.parametrize("wrapped", [False, True], ids=["the cycle", "receive"])
async def test_block_is_not_ended_where_the_client_may_leave(wrapped: bool) -> None:
    """As after the last byte."""
    app = Waiting(wrapped=wrapped, patient=True)
    async with serving(app) as served, served.connected() as raw, asyncio.timeout(LIMIT_S):
        await raw.send(REQUEST)
        await app.entered.wait()
        await raw.close()
        await eventually(lambda: not served.connections, "the server knows")
        await asyncio.sleep(0)
        app.may_go_on.set()
        await app.ended.wait()
    assert app.outcome == "went on"


@pytest.mark.parametrize("wrapped", [False, True], ids=["the cycle", "receive"])
async def test_cancellation_of_the_task_is_no_departure(wrapped: bool) -> None:
    """It is raised as what it is."""
    app = Waiting(wrapped=wrapped)
    async with waiting(app):
        assert app.task is not None
        app.task.cancel()
        await app.ended.wait()
    assert app.outcome == "cancelled"


async def test_client_that_left_before_the_block_ends_it_at_once() -> None:
    """A disconnect is an event no more when nobody waited for it."""
    left = asyncio.Event()

    async def late(_: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await receive())["type"] != "http.disconnect":
            pass
        with pytest.raises(DepartedError), Departure(receive):
            await asyncio.Event().wait()
        left.set()

    async with serving(late) as served, served.connected() as raw, asyncio.timeout(LIMIT_S):
        await raw.send(REQUEST)
        await raw.read_until(b"\r\n\r\n")
        await raw.close()
        await left.wait()


async def test_block_that_has_ended_waits_for_no_collection() -> None:
    """The request, the connection and its transport would wait with it."""
    kinds = (Departure, CycleWatch, RequestResponseCycle)
    with garbage() as found:
        app = Waiting(wrapped=False)
        async with waiting(app) as raw:
            await raw.close()
            await app.ended.wait()
    assert [each for each in found if isinstance(each, kinds)] == []
