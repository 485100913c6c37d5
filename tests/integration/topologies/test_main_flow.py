"""The main flow at two gateways, wherever Redis keeps its sessions: one server, cluster, Sentinels.

Both kinds of server that can be a cluster are tried, and each session at both gateways.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from midstream.client import Midstream
from tests.support.gateway import GatewayProcess
from tests.support.processes import eventually
from tests.support.provider_calls import PATHS, body_for
from tests.support.push import AGENT_KEY, PUSH_ENVIRONMENT, PUSH_SETTINGS, answer_of
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_kinds import clustered
from tests.support.redis_sentinels import Replicated, Sentinels
from tests.support.secured import SecuredCluster, SecuredSentinels
from tests.support.sessions import Session, Transcript, text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.support.redis_kinds import Kind
    from tests.support.simulator import Simulator

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

SESSIONS: Final = 6
"""Over all three shards of a cluster."""
PLAIN: Final = (RedisCluster, Sentinels)
SECURED: Final = (SecuredCluster, SecuredSentinels)
LONG: Final = "[[tokens=100000 rate=50]]"


def one_server(folder: Path, kind: Kind) -> Replicated:
    """Start one server, without a replica."""
    made = Replicated(folder / "server", kind)
    made.start()
    return made


def places() -> list[object]:
    """Return the places, as parameters.

    In `make all` also those with TLS, and users with no right but those that the docs name.
    """
    first = clustered()[0]
    return [
        pytest.param(
            (kind, start),
            id=f"{start.__name__}-{kind.name}",
            marks=() if kind == first and start in PLAIN else pytest.mark.release,
        )
        for kind in clustered()
        for start in (*PLAIN, *SECURED, one_server)
    ]


@pytest.fixture(params=places())
def url_of_redis(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of each place; the user is refused nothing there."""
    kind, start = request.param
    made = start(tmp_path_factory.mktemp("redis"), kind)
    yield made.url
    denied = made.denied() if isinstance(made, SECURED) else []
    made.end()
    assert denied == []


async def test_gateways_send_resume_stop_list_push_proxy_take_over_and_erase(
    url_of_redis: str, simulator: Simulator, tmp_path: Path
) -> None:
    """Each session at two gateways, whichever server has it; one of them dies at the end."""
    gateways = [
        GatewayProcess(
            tmp_path / name,
            url_of_redis,
            simulator.url,
            PUSH_SETTINGS,
            environment=PUSH_ENVIRONMENT,
            wait=False,
        )
        for name in ("one", "two")
    ]
    try:
        for gateway in gateways:
            gateway.wait_ready()
        here, there = gateways
        sessions = [Session(here.at) for _ in range(SESSIONS)]
        for session in sessions:
            await followed(session, session.through(there.at))
            await stopped(session, session.through(there.at))
            await proxied(session, session.through(there.at))
        async with Midstream([here.at.url, there.at.url], key=AGENT_KEY) as worker:
            await asyncio.gather(*(pushed(worker, each.through(there.at)) for each in sessions))
        await listed(there, {session.id for session in sessions})
        await taken_over(here, sessions, there)
        for session in sessions:
            status, _ = await there.at.call("DELETE", f"/api/chat/{session.id}")
            assert status == 204
        await listed(there, set())
    finally:
        for gateway in gateways:
            gateway.end()


async def followed(here: Session, there: Session) -> None:
    """Send; another tab follows the session from before it, and resumes the run elsewhere."""
    async with there.at.request("GET", f"/api/chat/{here.id}/events") as feed:
        events = feed.events()
        assert (await anext(events)).event == "snapshot"
        async with here.sending("[[tokens=100 rate=200]] hello") as response:
            sent = Transcript()
            reading = asyncio.create_task(sent.read(response))
            seen = [event async for event in until_ended(events)]
            await reading
    assert sent.done
    assert [json.loads(event.data) for event in seen if event.event == "message"]
    assert any(event.event == "chunks" for event in seen)
    (question, answer) = (await there.snapshot())["messages"]
    assert question["role"] == "user"
    assert text_of(answer) == sent.text


async def until_ended(events: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Yield the events of a feed until its run has ended."""
    async for event in events:
        yield event
        if event.event == "run" and "ended" in event.data:
            return


async def stopped(here: Session, there: Session) -> None:
    """Resume a run elsewhere, and stop it elsewhere: both readers have the same of it."""
    sent, resumed = Transcript(), Transcript()
    async with here.sending(f"{LONG} more") as sending, there.resuming() as resuming:
        run_id = sending.headers["x-midstream-run-id"]
        readers = [asyncio.create_task(sent.read(sending))]
        readers.append(asyncio.create_task(resumed.read(resuming)))
        await eventually(lambda: min(len(sent.text), len(resumed.text)) > 20, "both read")
        assert await there.stop() == [run_id]
        await asyncio.gather(*readers)
    assert (sent.types[-2:], resumed.types[-2:]) == (["abort", "finish"],) * 2
    assert sent.text == resumed.text == text_of((await there.snapshot())["messages"][-1])


async def proxied(here: Session, there: Session) -> None:
    """Call a provider through the gateway, for the session."""
    headers = {
        "authorization": "Bearer any",
        "x-midstream-key": AGENT_KEY,
        "x-midstream-session": here.id,
    }
    path, body = f"/proxy/{PATHS['chat']}", body_for("chat", "Hi [[tokens=9]]", stream=False)
    async with here.at.request("POST", path, body, headers=headers) as response:
        assert response.status == 200, await response.body()
        said = (await response.json())["choices"][0]["message"]["content"]
    await eventually(there.is_ended, "the call has ended")
    assert text_of(await answer_of(there)) == said


async def pushed(worker: Midstream, there: Session) -> None:
    """Write a run from outside."""
    async with worker.run(there.id, key=f"job-{there.id}", text="Count", agent="worker") as run:
        for number in range(20):
            await run.text(f"{number} ")
    assert run.outcome == "finished"
    assert text_of(await answer_of(there)) == "".join(f"{number} " for number in range(20))


async def listed(gateway: GatewayProcess, names: set[str]) -> None:
    """See that these chats are listed, and no others."""
    status, said = await gateway.at.call("GET", "/api/chats")
    assert (status, {chat["id"] for chat in said["chats"]}) == (200, names)
    assert not said.get("incomplete")


async def taken_over(lost: GatewayProcess, sessions: list[Session], other: GatewayProcess) -> None:
    """Kill a gateway in the middle of its runs; the other one closes them, and goes on."""
    for session in sessions:
        await session.begin(f"{LONG} to be cut")
    lost.process.kill()
    for session in sessions:
        seen = await session.through(other.at).resume()
        assert seen is None or seen.done
        await eventually(session.through(other.at).is_ended, "the run is closed", 60)
        again = await session.through(other.at).send("[[tokens=5]] again")
        assert again.done
