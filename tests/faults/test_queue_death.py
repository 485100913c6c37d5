"""Queued messages, no tab, and a killed producer: each gets exactly one run, in order."""

from __future__ import annotations

import asyncio
import json
import secrets
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final

import pytest

from midstream.store.scripts.catalog import Scripts
from tests.support.gateway import SHORT_LEASE, merged
from tests.support.processes import eventually
from tests.support.proxy import faulty_proxy
from tests.support.sessions import Session

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment

pytestmark = pytest.mark.anyio

ANSWER: Final = "[[tokens=12 rate=40 first=0]]"
QUEUED: Final = ("u2", "u3", "u4")
ASKED: Final = ["u1", *QUEUED]
SEEN_IN_ALL: Final = 40
"""About as many events as the feed has of four answers."""

LIMIT_S: Final = 60.0
RESUME_RATE: Final = 20
IN_FLIGHT: Final = 8
"""Runs that a gateway opens at the same time (`OPENED_AT_ONCE`)."""


async def queue(session: Session, *names: str) -> None:
    for name in names:
        body = session.body(f"More {ANSWER}", name, {"onActive": "queue"})
        prefers = {"prefer": "respond-async"}
        async with session.at.request("POST", "/api/chat", body, headers=prefers) as response:
            assert response.status == 202, await response.body()


async def queue_three(session: Session) -> None:
    await session.begin(ANSWER, message_id="u1")
    await queue(session, *QUEUED)


async def all_answered(session: Session, asked: list[str] = ASKED) -> bool:
    snapshot = await session.snapshot()
    shown = [m["id"] for m in snapshot["messages"] if m["role"] == "user"]
    return shown == asked and snapshot["runs"][-1]["state"] == "ended"


class Followed:
    """What the feed tells of a session."""

    def __init__(self) -> None:
        self.events = 0
        self.runs: dict[str, dict[str, Any]] = {}
        self.errors: dict[str, str] = {}
        """Run -> its error in words."""

    async def follow(self, session: Session) -> None:
        async with session.at.request("GET", f"/api/chat/{session.id}/events") as response:
            async for event in response.events():
                self.events += 1
                told = json.loads(event.data)
                for run in told["runs"] if event.event == "snapshot" else [told]:
                    if event.event in ("snapshot", "run"):
                        self.runs[run["id"]] = run
                for chunk in told["chunks"] if event.event == "chunks" else []:
                    if chunk["type"] == "error":
                        self.errors[told["runId"]] = chunk["errorText"]

    def has_ended(self) -> bool:
        ended = [run for run in self.runs.values() if run["state"] == "ended"]
        return len(ended) == len(self.runs) == len(ASKED)

    def assert_one_run_each(self, *, cut: int | None = None) -> None:
        """Every message had one run, in order; only the killed producer's is cut, and says so."""
        runs = list(self.runs.values())
        assert [run["userMessageId"] for run in runs] == ASKED
        assert {run["outcome"] for run in runs} <= {"finished", "interrupted"}
        interrupted = [run["id"] for run in runs if run["outcome"] == "interrupted"]
        assert len(interrupted) == cut if cut is not None else len(interrupted) <= 1
        assert list(self.errors) == interrupted
        assert all("process that produced it stopped" in said for said in self.errors.values())


async def killed_at(deployment: Deployment, points: list[int]) -> None:
    """Kill the producer of a session at each point, counted in events of its feed."""
    survivor, *producers = deployment.add_gateways(1 + len(points), SHORT_LEASE)

    async def one(producer: Any, point: int) -> None:
        here = Session(producer.at)
        there = here.through(survivor.at)
        await here.begin(ANSWER, message_id="u1")
        seen = Followed()
        following = asyncio.create_task(seen.follow(there), name="follower")
        try:
            await queue(here, *QUEUED)

            async def has_come() -> bool:
                return seen.events >= point or await all_answered(there)

            await eventually(has_come, f"{point} events", LIMIT_S)
            producer.process.kill()
            await eventually(lambda: all_answered(there), "all are answered", LIMIT_S)
            await eventually(seen.has_ended, "the feed has it", LIMIT_S)
        finally:
            following.cancel()
            await asyncio.wait({following})
        seen.assert_one_run_each()
        assert (await there.snapshot())["queue"]["entries"] == []

    await asyncio.gather(*map(one, producers, points))


async def test_queued_messages_outlive_the_process_that_answers_them(
    own_deployment: Deployment,
) -> None:
    """In the first answer, anywhere, and about where one ends and the next begins."""
    await killed_at(own_deployment, [3, 4 + secrets.randbelow(SEEN_IN_ALL), 14])


@pytest.mark.release
@pytest.mark.timeout(900)
async def test_queued_messages_outlive_it_wherever_it_is_killed(own_deployment: Deployment) -> None:
    points = [1 + secrets.randbelow(SEEN_IN_ALL) for _ in range(20)]
    for begin in range(0, len(points), 4):
        await killed_at(own_deployment, points[begin : begin + 4])


@pytest.mark.parametrize(
    ("script", "cut"),
    [
        pytest.param("close", 0, id="between close and open"),
        pytest.param("open", 1, id="as soon as the run is open"),
    ],
)
async def test_message_whose_turn_it_is_outlives_the_process_that_has_taken_it(
    own_deployment: Deployment, script: str, cut: int
) -> None:
    """Redis has done what the process asked for, and the process dies before it knows."""
    deployment = own_deployment
    survivor = deployment.add_gateway(SHORT_LEASE)
    await Session(survivor.at).send(ANSWER)  # Redis knows the scripts from here on
    async with faulty_proxy(deployment.redis.port) as proxy:
        behind = ["--redis-url", f"redis://127.0.0.1:{proxy.port}/0"]
        producer = await asyncio.to_thread(deployment.add_gateway, SHORT_LEASE, behind)
        here = Session(producer.at)
        there = here.through(survivor.at)
        held = deployment.simulator.held(tokens=12)
        await here.begin(held.question, message_id="u1")
        seen = Followed()
        following = asyncio.create_task(seen.follow(there), name="follower")
        try:
            await queue(here, *QUEUED)
            proxy.hold_after(getattr(Scripts(sharded=False), script).sha.encode())
            await held.release()

            def is_done() -> bool:
                states = [run["state"] for run in seen.runs.values()]
                return states == (["ended"] if script == "close" else ["ended", "open"])

            await eventually(is_done, f"{script} is done", LIMIT_S)
            producer.process.kill()
            await eventually(lambda: all_answered(there), "all are answered", LIMIT_S)
            await eventually(seen.has_ended, "the feed has it", LIMIT_S)
        finally:
            following.cancel()
            await asyncio.wait({following})
    seen.assert_one_run_each(cut=cut)


@pytest.mark.parametrize(
    "sessions",
    [24, pytest.param(300, marks=[pytest.mark.release, pytest.mark.timeout(900)])],
)
async def test_queues_of_a_dead_gateway_are_opened_at_the_set_rate(
    own_deployment: Deployment, sessions: int
) -> None:
    """One run for each, and in no second more than `chat.resume_rate` and those in flight."""
    pace = {"chat": {"resume_rate": RESUME_RATE}}
    producer, survivor = own_deployment.add_gateways(2, merged(SHORT_LEASE, pace))
    places = [Session(producer.at) for _ in range(sessions)]
    for place in places:
        await place.begin("[[tokens=90000 rate=1 first=0]]", message_id="u1")
        await queue(place, "u2")
    producer.process.kill()

    opened: list[int] = []
    for place in places:
        there = place.through(survivor.at)
        await eventually(
            lambda at=there: all_answered(at, ["u1", "u2"]),  # type: ignore[misc]
            "its second message is answered",
            LIMIT_S + sessions / RESUME_RATE,
        )
        (*_, run) = (await there.snapshot())["runs"]
        assert (run["userMessageId"], run["outcome"]) == ("u2", "finished")
        opened.append(run["startedAtMs"])
    opened.sort()
    most = max(bisect_left(opened, at + 1_000) - first for first, at in enumerate(opened))
    assert most <= RESUME_RATE + IN_FLIGHT + 1
