"""Two versions of the gateway over one Redis: an upgrade that is under way."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from midstream.ids import SessionId
from tests.support.processes import eventually
from tests.support.pushed_versions import pushed_over_both
from tests.support.version_to_come import VersionToCome
from tests.support.versions import (
    BEFORE_DELETIONS,
    BEFORE_SIDE_RUNS,
    BEFORE_STEERS,
    later_dies,
    mixed_operation,
    side_run_and_wait,
    source_of,
    start_two_versions,
    steered_at_the_earlier_alone,
)
from tests.support.websocket import open_socket

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fixtures import Deployment
    from tests.support.sessions import Session

pytestmark = pytest.mark.anyio


async def test_earlier_version_and_this_one_work_over_one_redis(own_deployment: Deployment) -> None:
    """Send, resume, stop, queue, steer, push, close and erase on both; then this one is killed:
    nothing is lost, and nothing is shown that was deleted."""
    versions = start_two_versions(own_deployment)
    await mixed_operation(versions)
    await pushed_over_both(versions)
    await later_dies(versions)


async def test_message_for_an_answer_outlives_an_earlier_version_that_knows_of_none(
    own_deployment: Deployment,
) -> None:
    versions = start_two_versions(own_deployment, BEFORE_STEERS)
    await steered_at_the_earlier_alone(versions)


async def test_earlier_version_leaves_side_runs_and_runs_that_wait_alone(
    own_deployment: Deployment,
) -> None:
    versions = start_two_versions(own_deployment, BEFORE_SIDE_RUNS)
    await side_run_and_wait(versions)


async def test_earlier_version_shows_nothing_that_this_one_has_deleted(
    own_deployment: Deployment,
) -> None:
    """Its followers begin again, and a run of its own continues beside a deletion.

    It refuses writes that it may not make any more. Then this one is killed.
    """
    versions = start_two_versions(own_deployment, BEFORE_DELETIONS)
    await mixed_operation(versions)
    here, there = versions.session()
    path = f"/api/chat/{here.id}"
    await here.send("swordfish [[tokens=2]]", message_id="secret")
    await there.send("And more [[tokens=2]]")
    async with here.at.request("GET", f"{path}/events") as feed:
        events = feed.events()
        assert "swordfish" in (await anext(events)).data
        assert (await there.at.call("DELETE", f"{path}/messages/secret"))[0] == 204
        told = [await anext(events)]
        while told[-1].event != "snapshot":
            told.append(await anext(events))
    shown = (await there.snapshot())["messages"]
    assert "secret" not in [message["id"] for message in shown]
    assert [m["id"] for m in json.loads(told[-1].data)["messages"]] == [m["id"] for m in shown]
    status, refused = await here.at.call("POST", "/api/chat", here.body("From before"))
    assert (status, refused["error"]["code"]) == (503, "upgrade_needed")
    await there.send("Go on [[tokens=2]]")
    versions.kept[here.id] = (await there.snapshot())["messages"]

    beside, other = versions.session()
    first = await beside.send("One [[tokens=2]]")
    answer = own_deployment.simulator.held()
    sent = asyncio.create_task(beside.send(answer.question))
    await eventually(lambda: runs_twice(other), "the second run is seen")
    place = f"/api/chat/{beside.id}/messages/{first.chunks[0]['messageId']}"
    assert (await other.at.call("DELETE", place))[0] == 204
    await answer.release()
    assert (await sent).types[-1] == "finish"
    await eventually(other.is_ended, "the run has ended")
    versions.kept[beside.id] = (await other.snapshot())["messages"]
    assert len(versions.kept[beside.id]) == 3
    await later_dies(versions)


async def runs_twice(session: Session) -> bool:
    """Whether an answer is under way to a second question."""
    snapshot = await session.snapshot()
    return len(snapshot["messages"]) == 3 and snapshot["runs"][-1]["state"] == "open"


async def test_session_of_a_newer_version_is_read_and_not_written(deployment: Deployment) -> None:
    """By HTTP and by WebSocket: `upgrade_needed` for every change.

    The snapshot, the stream of its run and its feed continue, and other sessions are as ever.
    """
    session = deployment.session()
    answer = deployment.simulator.held()
    await session.begin(answer.question)
    newer = VersionToCome(deployment.redis.client, SessionId(session.id))
    path = f"/api/chat/{session.id}"
    async with session.at.request("GET", f"{path}/events") as feed:
        events = feed.events()
        await anext(events)
        newer.add_record()
        newer.raise_format()
        await answer.release()
        before = newer.dump()

        async with session.sending("And more") as refused:
            error = (await refused.json())["error"]
            assert (refused.status, error["code"], error["temporary"]) == (
                503, "upgrade_needed", True,
            )  # fmt: skip
            assert refused.headers["retry-after"]
        for method, address in (("POST", f"{path}/stop"), ("DELETE", path)):
            status, told = await session.at.call(method, address)
            assert (status, told["error"]["code"]) == (503, "upgrade_needed")
        async with open_socket(session.at) as socket:
            await socket.send_message(session.id, "And more")
            frame = json.loads(await asyncio.wait_for(socket.connection.recv(), 30))
            assert "upgrade_needed" in json.dumps(frame)

        assert newer.dump() == before
        assert len((await session.snapshot())["messages"]) == 1
        newer.set_run("ended")
        async for event in events:
            assert event.event != "erased"
            if event.event == "run" and '"ended"' in event.data:
                break
    await eventually(session.is_ended, "the newer gateway's end is seen")
    assert (await deployment.session().send("Elsewhere [[tokens=3]]")).done


def test_clone_without_the_commit_is_told_how_to_fetch_it(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="git fetch --unshallow"):
        source_of("0" * 40, tmp_path / "source")
