"""A failure of one session stays in it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from midstream.errors import StoreUnavailableError
from midstream.sessions.containment import LAST_DELAY_S, TRIES, Quarantine, contained, keep_running
from midstream.telemetry import FAILURES_CONTAINED, QUARANTINED

FAILURE = TypeError("expected str instance, int found")


class Clock:
    """Time as a test tells it."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_failure_of_a_block_is_logged_with_its_session_and_run_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing is hidden: an operator sees whose it is, and how often."""
    before = FAILURES_CONTAINED.labels("test").__dict__["_value"].get()
    with contained("test", session="chat-1", run="run_1"):
        raise FAILURE

    assert FAILURES_CONTAINED.labels("test").__dict__["_value"].get() == before + 1
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == (
        "contained at=test session=chat-1 run=run_1 "
        "reason=TypeError: expected str instance, int found"
    )
    assert record.exc_info is not None


@pytest.mark.parametrize("passed", [asyncio.CancelledError(), StoreUnavailableError("away")])
def test_what_the_caller_handles_and_cancellation_pass(passed: BaseException) -> None:
    """A cancelled loop ends."""
    with (
        pytest.raises(type(passed)),
        contained("test", passes=(StoreUnavailableError,)),
    ):
        raise passed


def test_item_that_fails_rests_longer_each_time_and_is_left_alone_at_last(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of many failures of one item the log has the first and the last."""
    clock = Clock()
    quarantine: Quarantine[str] = Quarantine("test-rests", now=clock)
    rests: list[float] = []
    for number in range(1, TRIES + 1):
        assert quarantine.admits("chat-1")
        left_alone = quarantine.failed("chat-1", FAILURE, session="chat-1")
        assert left_alone is (number == TRIES)
        began_s = clock.now_s
        while not left_alone and not quarantine.admits("chat-1"):
            clock.now_s += 1
        rests.append(clock.now_s - began_s)

    clock.now_s += 1_000 * LAST_DELAY_S
    assert not quarantine.admits("chat-1")
    assert quarantine.admits("chat-2")
    assert rests[:-1] == sorted(set(rests[:-1]))
    assert [record.getMessage().split()[0] for record in caplog.records] == [
        "contained",
        "quarantined",
    ]
    assert QUARANTINED.labels("test-rests").__dict__["_value"].get() == 1


def test_item_that_succeeds_is_well_again() -> None:
    """Its next failure is its first."""
    quarantine: Quarantine[str] = Quarantine("test-well")
    quarantine.failed("chat-1", FAILURE, session="chat-1")
    assert not quarantine.admits("chat-1")
    quarantine.succeeded("chat-1")

    assert quarantine.admits("chat-1")


def test_quarantine_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the oldest is forgotten, and no longer shown as in quarantine."""
    monkeypatch.setattr("midstream.sessions.containment.MAX_ITEMS", 2)
    quarantine: Quarantine[int] = Quarantine("test-bounded", tries=1)
    for item in range(5):
        quarantine.failed(item, FAILURE, session=str(item))

    assert [item for item in range(5) if not quarantine.admits(item)] == [3, 4]
    assert QUARANTINED.labels("test-bounded").__dict__["_value"].get() == 2


def test_loop_that_fails_begins_again_until_it_is_cancelled(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each failure is logged."""
    monkeypatch.setattr("midstream.sessions.containment.FIRST_RESTART_S", 0.0)
    begun = asyncio.Event()
    times = 0

    async def loop() -> None:
        nonlocal times
        times += 1
        if times <= 3:
            raise FAILURE
        begun.set()
        await asyncio.Event().wait()

    async def scenario() -> None:
        running = asyncio.create_task(keep_running("test", loop))
        await asyncio.wait_for(begun.wait(), 30)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(scenario())
    assert times == 4
    assert len(caplog.records) == 3
