"""When an address that hangs up is looked at."""

from __future__ import annotations

import time

import pytest

from midstream.client.hangups import SILENCE_S, TRIES, Hangups

pytestmark = pytest.mark.anyio

NOBODY = "http://127.0.0.1:1"


async def test_address_that_hangs_up_late_is_never_suspected() -> None:
    """A forwarder that tries to reach its gateway first would leave a silent connection, too."""
    hangups = Hangups()
    for _ in range(3 * TRIES):
        late = time.monotonic() - SILENCE_S
        assert await hangups.look_at(NOBODY, asked_at=late) is None


async def test_address_that_takes_no_silent_connection_is_never_suspected() -> None:
    """A gateway that restarts: nobody listens there for a moment."""
    hangups = Hangups()
    for _ in range(3 * TRIES):
        assert await hangups.look_at(NOBODY, asked_at=time.monotonic()) is None
