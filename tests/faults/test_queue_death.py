"""Three queued messages, no tab, and a killed producer: each gets exactly one run, in order."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.gateway import SHORT_LEASE
from tests.support.processes import eventually
from tests.support.sessions import Session

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment

pytestmark = pytest.mark.anyio

QUEUED = ("u2", "u3", "u4")
SEEN_IN_ALL = 40
"""About as many events as the feed has of four answers."""


async def queue_three(session: Session) -> None:
    await session.begin("[[tokens=12 rate=40 first=0]]", message_id="u1")
    for name in QUEUED:
        extra = {"onActive": "queue"}
        body = session.body("More [[tokens=12 rate=40 first=0]]", name, extra)
        prefers = {"prefer": "respond-async"}
        async with session.at.request("POST", "/api/chat", body, headers=prefers) as response:
            assert response.status == 202, await response.body()


async def all_answered(session: Session) -> bool:
    snapshot = await session.snapshot()
    asked = [m["id"] for m in snapshot["messages"] if m["role"] == "user"]
    return asked == ["u1", *QUEUED] and snapshot["runs"][-1]["state"] == "ended"


async def follow(session: Session, runs: dict[str, dict[str, Any]], seen: list[str]) -> None:
    async with session.at.request("GET", f"/api/chat/{session.id}/events") as response:
        async for event in response.events():
            seen.append(event.event or "")
            if event.event == "run":
                run = json.loads(event.data)
                runs[run["id"]] = run


async def killed_at(deployment: Deployment, points: list[int]) -> None:
    """Kill the producer of a session at each point, counted in events of its feed."""
    survivor, *producers = deployment.add_gateways(1 + len(points), SHORT_LEASE)

    async def one(producer: Any, point: int) -> None:
        here = Session(producer.at)
        there = here.through(survivor.at)
        await queue_three(here)
        runs: dict[str, dict[str, Any]] = {}
        seen: list[str] = []
        following = asyncio.create_task(follow(there, runs, seen), name="follower")
        try:

            async def has_come() -> bool:
                return len(seen) >= point or await all_answered(there)

            await eventually(has_come, f"{point} events")
            producer.process.kill()
            await eventually(lambda: all_answered(there), "all are answered", limit_s=60)
            await eventually(
                lambda: all(run["state"] == "ended" for run in runs.values()), "the feed has it"
            )
        finally:
            following.cancel()
            await asyncio.wait({following})
        asked = [run["userMessageId"] for run in runs.values() if run["userMessageId"] != "u1"]
        missed = [name for name in QUEUED if name not in asked]
        assert asked == [name for name in QUEUED if name not in missed], "one run each, in order"
        outcomes = [run["outcome"] for run in runs.values()]
        assert outcomes.count("interrupted") <= 1, "only the one whose producer was killed is cut"
        assert set(outcomes) <= {"finished", "interrupted"}
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
