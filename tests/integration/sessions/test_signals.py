"""Signals of the five failures: each moves its metric by one, and a good answer moves none."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from prometheus_client import REGISTRY

from midstream.errors import NotRecoveredError, ProviderUnavailableError, RunActiveError
from midstream.ids import SessionId
from midstream.protocol.chunks import FinishChunk
from midstream.protocol.position import Position
from tests.support.played import ALICE, Reading, Script, send, user_message
from tests.support.processes import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping

    from midstream.sessions.service import Sessions

pytestmark = pytest.mark.anyio
HELLO = user_message("u1", "hello")


class Moved:
    """What has moved since it was made, of every metric but those of the process itself."""

    def __init__(self) -> None:
        self._before = self._now()

    @staticmethod
    def _now() -> dict[tuple[str, tuple[str, ...]], float]:
        return {
            (sample.name.removeprefix("midstream_"), tuple(sample.labels.values())): sample.value
            for metric in REGISTRY.collect()
            for sample in metric.samples
            if sample.name.startswith("midstream_")
            and sample.name.endswith(("_total", "_count"))
            and "append" not in sample.name
            and "loop_lag" not in sample.name
        }

    def __call__(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for (name, labels), value in self._now().items():
            if moved := value - self._before.get((name, labels), 0):
                found[" ".join((name, *labels))] = moved
        return found


GOOD = {
    "runs_ended_total finished": 1,
    "run_seconds_count other finished": 1,
    "first_chunk_seconds_count other": 1,
    "run_silence_seconds_count other": 1,
}
"""Of an answer that is read to its end."""


async def until(moved: Moved, wanted: Mapping[str, float]) -> None:
    """Wait until exactly this has moved."""
    await eventually(lambda: moved() == wanted, f"exactly {wanted} has moved")


async def test_good_answer_moves_no_metric_of_a_failure(sessions: Sessions, script: Script) -> None:
    """The control of all others: sent, and read to its end."""
    moved = Moved()
    reading = Reading(await sessions.start(ALICE, send("good", HELLO)))
    run = await script.next()
    run.open()
    run.tell("hello")
    run.end()
    await reading.task
    await until(moved, GOOD)


async def test_connection_that_is_cut_counts_as_left_and_its_return_by_kind(
    sessions: Sessions, script: Script
) -> None:
    """Three ways back: after a chunk, with the state so far, and one that is too late."""
    session, moved = SessionId("cut"), Moved()
    reading = Reading(await sessions.start(ALICE, send(session, HELLO)))
    run = await script.next()
    run.open()
    run.tell("hello")
    await eventually(lambda: reading.text == "hello", "the first words")
    reading.task.cancel()
    await asyncio.wait({reading.task})
    assert moved()["left_while_running_total"] == 1
    by_chunk = await sessions.resume(ALICE, session, after=0)
    whole = await sessions.resume(ALICE, session)
    assert by_chunk is not None
    assert whole is not None
    with pytest.raises(NotRecoveredError):
        await sessions.resume(ALICE, SessionId("gone"), after=7)
    readings = [Reading(by_chunk), Reading(whole)]
    run.end()
    for each in readings:
        await each.task
    assert moved()["left_while_running_total"] == 1
    assert {name: count for name, count in moved().items() if name.startswith("resumes")} == {
        "resumes_total tail": 1,
        "resumes_total state": 1,
        "resumes_total not_recovered": 1,
    }


async def test_stop_is_timed_once(sessions: Sessions, script: Script) -> None:
    """From the request to the last chunk; the words that came before it are none after it."""
    session, moved = SessionId("stopped"), Moved()
    reading = Reading(await sessions.start(ALICE, send(session, HELLO)))
    run = await script.next()
    run.open()
    run.tell("hello")
    await eventually(lambda: reading.text == "hello", "the first words")
    assert await sessions.stop(ALICE, session) == [reading.run_id]
    await reading.task
    await until(
        moved,
        {
            **{name.replace("finished", "stopped"): count for name, count in GOOD.items()},
            "stops_total": 1,
            "stop_seconds_count": 1,
        },
    )


async def test_failure_of_a_provider_is_counted_by_its_class(
    sessions: Sessions, script: Script
) -> None:
    moved = Moved()
    reading = Reading(await sessions.start(ALICE, send("failed", HELLO)))
    run = await script.next()
    run.fail(ProviderUnavailableError("unable to reach the provider"))
    await reading.task
    await eventually(lambda: moved().get("run_seconds_count other failed") == 1, "the end")
    assert moved()["provider_errors_total provider_unavailable"] == 1


async def test_queued_message_is_counted_by_its_place(sessions: Sessions, script: Script) -> None:
    moved = Moved()
    reading = Reading(await sessions.start(ALICE, send("queued", HELLO)))
    run = await script.next()
    second = send("queued", user_message("u2", "and?"), on_active="refuse")
    with pytest.raises(RunActiveError):
        await sessions.start(ALICE, second)
    queued = await sessions.start_unread(
        ALICE, send("queued", user_message("u3", "then?"), on_active="queue")
    )
    assert moved()["queue_depth_count"] == 1
    run.say(FinishChunk())
    run.finish()
    await reading.task
    (await script.next()).finish()
    await eventually(lambda: moved().get("runs_ended_total finished") == 2, "both ends")
    assert queued is not None


async def test_follower_goes_on_or_begins_again(sessions: Sessions, script: Script) -> None:
    """A position of a lost log is answered with a snapshot."""
    session, moved = SessionId("followed"), Moved()
    reading = Reading(await sessions.start(ALICE, send(session, HELLO)))
    run = await script.next()
    run.say(FinishChunk())
    run.finish()
    await reading.task
    snapshot = await sessions.snapshot(ALICE, session)
    known, lost = Position(snapshot.epoch, "0-0"), Position("other", "9-9")
    for position in (known, lost):
        async with await sessions.follow(ALICE, session, position) as follower:
            async for _ in follower:
                break
    assert moved().get("resumes_total snapshot") == 1
