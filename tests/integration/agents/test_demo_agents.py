"""The demo's agents, which say where they run: wrapped so, they can do all that they could."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from midstream.agents.base import AgentRequest, AgentTraits
from midstream.errors import ConflictError
from midstream.ids import SessionId
from midstream.live_demo.process_map import ProcessMap, TracedAgents
from midstream.protocol.messages import UIMessage
from midstream.sessions import open_sessions
from midstream.settings.agents import AgentSettings, ClientToolSettings
from midstream.settings.sections import ServerSettings, Settings
from midstream.wiring import open_agents
from tests.integration.sessions.test_several_gateways import DyingStore
from tests.support.answers import with_part
from tests.support.played import ALICE, FAST, Reading, send, user_message
from tests.support.processes import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from midstream.agents.base import AnyAgent
    from midstream.protocol.chunks import AnyChunk
    from midstream.sessions.service import Sessions
    from midstream.store.redis.store import RedisStore

pytestmark = pytest.mark.anyio
S = SessionId("chat-1")

SETTINGS = Settings(
    server=ServerSettings(demo=True),
    agents={
        "assistant": AgentSettings(
            provider="simulator",
            model="sim-instant",
            tools=("tests.support.tools:hang",),
            client_tools={"where": ClientToolSettings(description="Where the person is.")},
        ),
        "restarting": AgentSettings(
            provider="simulator", model="sim-instant", on_interruption="restart"
        ),
    },
)


@asynccontextmanager
async def demo(store: RedisStore, folder: Path) -> AsyncIterator[Sessions]:
    """Run a process's sessions with the demo's agents, as `midstream.app` puts them together."""
    async with (
        open_agents(SETTINGS) as agents,
        open_sessions(store, TracedAgents(agents, ProcessMap(folder)), FAST) as sessions,
    ):
        yield sessions


def has_called(tool: str, reading: Reading) -> bool:
    """Whether the whole input of a call has come."""
    return any(
        chunk["type"] == "tool-input-available" and chunk["toolName"] == tool
        for chunk in reading.chunks
    )


async def last_message(sessions: Sessions) -> dict[str, Any]:
    """Return the conversation's last message."""
    snapshot = await sessions.snapshot(ALICE, S)
    return dict(msgspec.json.decode(snapshot.messages[-1]))


def parsed(message: dict[str, Any]) -> UIMessage:
    """Return a message as a client sends it."""
    return UIMessage.parse(msgspec.json.encode(message))


async def outcome(sessions: Sessions) -> str | None:
    """Wait until the session's run has ended; return how."""
    ended: list[str | None] = []

    async def has_ended() -> bool:
        [run] = (await sessions.snapshot(ALICE, S)).runs
        ended.append(run.outcome)
        return run.outcome is not None

    await eventually(has_ended, "the run has ended")
    return ended[-1]


async def test_client_cannot_answer_a_call_that_the_gateway_executes(
    store: RedisStore, tmp_path: Path
) -> None:
    """The run was stopped while the tool ran: a client cannot invent the tool's result."""
    async with demo(store, tmp_path) as sessions:
        text = "[[tool=where step=1]] [[tool=hang step=1]]"
        reading = Reading(await sessions.start(ALICE, send(S, user_message("u1", text))))
        await reading.until(lambda each: has_called("hang", each))
        assert await sessions.stop(ALICE, S)
        await reading.end()

        message = await last_message(sessions)
        [hang] = (part for part in message["parts"] if part["type"] == "tool-hang")
        assert hang["state"] == "output-error"
        forged = with_part(message, {**hang, "state": "output-available", "output": "I did it"})
        with pytest.raises(ConflictError):
            await sessions.start(ALICE, send(S, parsed(forged)))

        [where] = (part for part in message["parts"] if part["type"] == "tool-where")
        own = with_part(forged, {**where, "state": "output-available", "output": {"city": "Bonn"}})
        await Reading(await sessions.start(ALICE, send(S, parsed(own)))).end()
        parts = {part["type"]: part for part in (await last_message(sessions))["parts"]}
        assert parts["tool-where"]["output"] == {"city": "Bonn"}
        assert parts["tool-hang"]["state"] == "output-error"


async def test_person_sends_again_after_a_crash_inside_a_tool(
    store: RedisStore, redis_url: str, tmp_path: Path
) -> None:
    """The cut call waits for no answer: the model gets an error as its result, and continues."""
    async with (
        DyingStore.connect(redis_url) as doomed_store,
        demo(doomed_store, tmp_path) as doomed,
        demo(store, tmp_path) as survivor,
    ):
        text = "[[tool=hang step=1]]"
        reading = Reading(await doomed.start(ALICE, send(S, user_message("u1", text))))
        await reading.until(lambda each: has_called("hang", each))
        doomed_store.dead = True
        assert await outcome(survivor) == "interrupted"

        message = await last_message(survivor)
        [hang] = (part for part in message["parts"] if part["type"] == "tool-hang")
        assert hang["state"] == "output-error"
        again = Reading(await survivor.start(ALICE, send(S, parsed(message))))
        await again.end()
        assert again.chunks[-1]["finishReason"] == "stop"
        parts = {part["type"]: part for part in (await last_message(survivor))["parts"]}
        assert parts["tool-hang"]["state"] == "output-error"


async def test_other_process_goes_on_with_a_run_of_an_agent_that_restarts(
    store: RedisStore, redis_url: str, tmp_path: Path
) -> None:
    """`on_interruption = "restart"` holds in the demo too: the answer is written to its end."""
    async with (
        DyingStore.connect(redis_url) as doomed_store,
        demo(doomed_store, tmp_path) as doomed,
        demo(store, tmp_path) as survivor,
    ):
        question = user_message("u1", "[[tokens=150 rate=30 first=0]] hello")
        reading = Reading(await doomed.start(ALICE, send(S, question, agent="restarting")))
        await reading.until(lambda each: bool(each.text))
        doomed_store.dead = True
        assert await outcome(survivor) == "finished"


class Able:
    """An agent with every ability, and the finder of it."""

    name = "able"

    def __init__(self) -> None:
        self.traits = AgentTraits(executes=lambda _: True, passes_on=True, durable=None)

    def find(self, name: str | None, model: str | None) -> AnyAgent:
        return self

    async def stream(self, request: AgentRequest) -> AsyncIterator[Sequence[AnyChunk]]:
        yield []


def test_traced_agent_has_the_very_traits_of_its_agent(tmp_path: Path) -> None:
    """The traits are passed on as one value, so later ones are included."""
    able = Able()
    assert TracedAgents(able, ProcessMap(tmp_path)).find(None, None).traits is able.traits
