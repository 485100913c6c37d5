"""Messages for the running answer reach agents of others, by the recipes of docs/redirect.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.sessions import Transcript, text_of, user_message

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("agent", ["guided", "guided_graph"])
async def test_agent_reads_a_message_for_its_answer_and_goes_on(
    with_agents: Deployment, agent: str
) -> None:
    """Through another gateway, while the answer is being written; also in the next turn."""
    session = with_agents.session()
    elsewhere = session.through(with_agents.gateways[1].at)
    held = with_agents.simulator.held(tokens=6)
    extra = {"agent": agent}
    async with session.sending(held.question, extra=extra) as response:
        seen = Transcript()
        async for _ in seen.follow(response):
            if seen.text:
                break
        wanted = f"Say it in one line. [[tokens=3]] {session.id}"
        path = f"/api/chat/{session.id}/steer"
        body = {"message": user_message(wanted, "s1"), "waitMs": 20_000}
        status, waiting = await elsewhere.at.call("POST", path, {**body, "waitMs": 0})
        assert (status, waiting["type"]) == (202, "pending")
        await held.release()
        status = 202
        while status == 202:
            status, told = await elsewhere.at.call("POST", path, body)
        assert (status, told["type"]) == (200, "delivered")
        await seen.read(response)

    asked, answer = (await session.snapshot())["messages"]
    kinds = [part["type"] for part in answer["parts"] if part["type"] != "step-start"]
    assert kinds == ["text", "steering-message", "text"]
    before = answer["parts"][1]["text"]
    assert await with_agents.simulator.read(wanted) == [text_of(asked), before, wanted]

    question = f"And then? [[tokens=2]] {session.id}"
    await session.send(question, extra=extra)
    read = await with_agents.simulator.read(question)
    assert read[:3] == [text_of(asked), before, wanted]
    assert read[-1] == question
