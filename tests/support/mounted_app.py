"""A Starlette application with a mounted gateway, whose agent is slow."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.routing import Mount

from midstream import Agent, Run, create_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def count(run: Run) -> None:
    """Write as many words as the request asks for, a hundred a second."""
    for number in range(run.body["words"]):
        await run.text(f"{number} ")
        await asyncio.sleep(0.01)


gateway = create_app(agents=[Agent("count", count)])


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Open the gateway while the application is up."""
    async with gateway.open():
        yield


# A path that is also one within the gateway's own.
app = Starlette(routes=[Mount("/api/chat", gateway)], lifespan=lifespan)
