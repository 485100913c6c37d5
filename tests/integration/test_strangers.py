"""A whole gateway, fed with what strangers might send: `make fuzz`, for a moment."""

from __future__ import annotations

import pytest

from tests.fuzz.gateway import fuzzed_gateway

pytestmark = pytest.mark.anyio

SEED = "strangers"
SESSIONS = 250


@pytest.mark.timeout(900)
async def test_session_goes_on_whatever_a_stranger_sends(redis_url: str) -> None:
    """No run hangs or logs a traceback, a client can read all that it gets, and a good run with
    each provider follows. A failure names its seed: `make fuzz SEED=strangers ONLY=number`."""
    async with fuzzed_gateway(redis_url) as gateway:
        for number in range(SESSIONS):
            await gateway.converse(f"{SEED}:{number}")
