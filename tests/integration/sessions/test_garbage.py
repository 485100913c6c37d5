"""What an ended run leaves to the collector of garbage: nothing of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from midstream.agents.base import AgentRequest
from midstream.ids import SessionId
from midstream.protocol.messages import UIMessage
from midstream.sessions.runs.lane import Lane
from midstream.sessions.runs.producer import Producer
from tests.support.garbage import garbage
from tests.support.played import ALICE, Reading, Script, send, user_message
from tests.support.processes import eventually

if TYPE_CHECKING:
    from midstream.sessions.service import Sessions

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[False, True], ids=["yielded", "by call"])
def script(request: pytest.FixtureRequest) -> Script:
    """The agent, whose chunks come in either way."""
    return Script(by_call=request.param)


async def test_run_that_has_ended_waits_for_no_collection(
    sessions: Sessions, script: Script
) -> None:
    """Its history and its message would wait with it."""
    with garbage() as found:
        reading = Reading(
            await sessions.start(ALICE, send(SessionId("c"), user_message("u1", "hello")))
        )
        run = await script.next()
        run.open()
        run.tell("Hi")
        run.end()
        await reading.end()
        await eventually(lambda: not _tasks_of_runs(), "its task has ended")
        del reading, run

    kinds = (Producer, Lane, AgentRequest, UIMessage)
    assert [each for each in found if isinstance(each, kinds)] == []


def _tasks_of_runs() -> list[str]:
    names = [task.get_name() for task in asyncio.all_tasks()]
    return [name for name in names if name.startswith("run ")]
