"""The simulator on a real socket, and the providers' own SDKs in front of it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, NamedTuple

import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from midstream.simulator import Simulator, create_simulator
from midstream.simulator.server import serve_simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Simulated(NamedTuple):
    """A served simulator and clients of it."""

    app: Simulator
    url: str
    anthropic: AsyncAnthropic
    openai: AsyncOpenAI


@pytest.fixture
async def sim() -> AsyncIterator[Simulated]:
    """A simulator on loopback with an SDK client for each provider."""
    app = create_simulator(journal_enabled=True)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serve_simulator(app))
        anthropic = await stack.enter_async_context(
            AsyncAnthropic(api_key="any", base_url=f"{url}/anthropic")
        )
        openai = await stack.enter_async_context(
            AsyncOpenAI(api_key="any", base_url=f"{url}/openai/v1")
        )
        yield Simulated(app, url, anthropic, openai)
