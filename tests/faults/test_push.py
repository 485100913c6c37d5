"""Workers that push, and die; gateways that die under them."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import eventually
from tests.support.push import (
    PATIENT,
    PUSH_ENVIRONMENT,
    PUSH_SETTINGS,
    PushWorker,
    answer_of,
    client_of,
)
from tests.support.push_worker import WORDS, whole_answer
from tests.support.sessions import Transcript, text_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fixtures import Deployment
    from tests.support.sessions import Session

pytestmark = pytest.mark.anyio

KILLS = 10
"""A lease that outlives the start of a process on a busy machine."""


async def follow(session: Session) -> Transcript:
    """Read the run from its first chunk to its end, as a tab does that was there all along."""

    async def is_open() -> bool:
        status, answer = await session.at.call("GET", f"/api/chat/{session.id}")
        return status == 200 and bool(answer["runs"])

    await eventually(is_open, "the run is opened", 40)
    seen = await session.resume(query="?startIndex=0")
    assert seen is not None
    return seen


async def assert_exact(session: Session, seen: Transcript) -> None:
    """Nothing is missing, nothing is there twice; the reader saw just that."""
    message = await answer_of(session)
    assert text_of(message) == "".join(whole_answer())
    assert [part["type"] for part in message["parts"]] == [
        "step-start", "tool-look", "step-start", "text",
    ]  # fmt: skip
    assert message["parts"][1]["output"] == "long"
    assert seen.text == text_of(message)
    assert seen.done and seen.types.count("finish") == 1 and "error" not in seen.types


@pytest.mark.parametrize("options", [(), ("--from-message",)], ids=["replay", "continue"])
async def test_worker_that_is_killed_ten_times_writes_the_answer_exactly(
    own_deployment: Deployment, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """At random points, with -9, each time begun again with the same key.

    The killed attempts never reach the last word, so none has ended the run.
    """
    own_deployment.add_gateways(2, PATIENT, environment=PUSH_ENVIRONMENT)
    session = own_deployment.session(1)
    reading = asyncio.create_task(follow(session))
    seed = random.randrange(2**32)  # noqa: S311 - no secret
    chance = random.Random(seed)  # noqa: S311 - a failure shows the seed
    endless = ("--silent-after", str(WORDS - 1))
    for attempt in range(KILLS):
        log = tmp_path / f"worker-{attempt}"
        worker = PushWorker(own_deployment, session.id, log, *endless, *options)
        words = chance.randrange(-1, WORDS // KILLS if options else WORDS - 10)
        await worker.has_told("claimed")

        def has_said(worker: PushWorker = worker, words: int = words) -> bool:
            assert worker.process.exit_code is None, worker.process.output()
            return len(worker.told) > words or "silent" in worker.told

        await eventually(has_said, f"the worker says {words} words", 30)
        worker.process.kill()
    last = PushWorker(own_deployment, session.id, tmp_path / "worker-last", *options)
    assert await last.has_ended() == "finished"
    await assert_exact(session, await reading)


async def test_of_two_workers_at_once_one_is_fenced(
    own_deployment: Deployment, tmp_path: Path
) -> None:
    """It is told so in the middle of its answer; the other has written all of it."""
    own_deployment.add_gateways(2, PATIENT, environment=PUSH_ENVIRONMENT)
    session = own_deployment.session()
    reading = asyncio.create_task(follow(session))
    first = PushWorker(own_deployment, session.id, tmp_path / "first", "--pace", "0.5")
    await first.has_told("word-2")
    second = PushWorker(own_deployment, session.id, tmp_path / "second")
    outcomes = [await worker.has_ended() for worker in (first, second)]
    assert outcomes == ["fenced", "finished"]
    await assert_exact(session, await reading)


async def test_run_of_a_worker_that_dies_for_good_is_closed(
    own_deployment: Deployment, tmp_path: Path
) -> None:
    """The written part stays, with an error, until the next attempt writes the answer again."""
    own_deployment.add_gateways(2, PUSH_SETTINGS, environment=PUSH_ENVIRONMENT)
    session = own_deployment.session()
    reading = asyncio.create_task(follow(session))
    worker = PushWorker(own_deployment, session.id, tmp_path / "log", "--silent-after", "20")
    await worker.has_told("silent")
    worker.process.kill()
    seen = await reading
    assert seen.types[-3:] == ["text-end", "error", "finish"]
    assert text_of(await answer_of(session)) == "".join(whole_answer()[:20])
    again = PushWorker(own_deployment, session.id, tmp_path / "again")
    assert await again.has_ended() == "finished"
    assert text_of(await answer_of(session)) == "".join(whole_answer())


async def test_stop_ends_a_silent_worker_in_a_process_of_its_own(
    own_deployment: Deployment, tmp_path: Path
) -> None:
    """From another gateway: the worker ends its run, and continues after the block."""
    own_deployment.add_gateways(2, PATIENT, environment=PUSH_ENVIRONMENT)
    session = own_deployment.session(1)
    worker = PushWorker(own_deployment, session.id, tmp_path / "log", "--silent-after", "20")
    await worker.has_told("silent")
    assert len(await session.stop()) == 1
    assert await worker.has_ended() == "stopped"
    assert text_of(await answer_of(session)) == "".join(whole_answer()[:20])


@pytest.mark.parametrize("tidily", [False, True], ids=["killed", "told to stop"])
async def test_worker_goes_on_at_another_gateway_when_its_own_ends(
    own_deployment: Deployment, tmp_path: Path, tidily: bool
) -> None:
    """No word is lost or repeated, at any point of the delivery."""
    own_deployment.add_gateways(2, PATIENT, environment=PUSH_ENVIRONMENT)
    session = own_deployment.session(1)
    reading = asyncio.create_task(follow(session))
    worker = PushWorker(own_deployment, session.id, tmp_path / "log")
    await worker.has_told("word-40")
    gone = own_deployment.gateways[0]
    gone.terminate() if tidily else gone.process.kill()
    assert await worker.has_ended() == "finished"
    await assert_exact(session, await reading)
    if tidily:
        # It has let go of renewals that it held, and waits for nothing of theirs.
        assert await asyncio.to_thread(gone.process.wait_exit, 20) == 0


async def test_worker_holds_what_it_says_while_redis_is_away(own_deployment: Deployment) -> None:
    """It sends the same batch until it is stored."""
    own_deployment.redis.write_through()
    own_deployment.add_gateway(PATIENT, environment=PUSH_ENVIRONMENT)
    session = own_deployment.session()
    words = whole_answer()
    async with client_of(own_deployment) as client:
        async with client.run(session.id, key="job", text="Go.") as run:
            for word in words[:50]:
                await run.text(word)
            await run.flush()
            own_deployment.redis.kill()
            for word in words[50:]:
                await run.text(word)
            restart = asyncio.to_thread(own_deployment.redis.start)
            await asyncio.gather(run.flush(), restart)
        assert run.outcome == "finished"
    assert text_of(await answer_of(session)) == "".join(words)
