"""Approvals of pydantic-ai's own agents, by the recipes of docs/agents.md as they stand there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.sessions import text_of

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment
    from tests.support.sessions import Session

pytestmark = pytest.mark.anyio

ORDER: Final = '[[tool=order_umbrella {"size":"big"}]] [[tokens=6]]'


async def call_in(session: Session) -> tuple[dict[str, Any], dict[str, Any]]:
    """The session's last message, and the call in it."""
    message = (await session.snapshot())["messages"][-1]
    (call,) = [part for part in message["parts"] if part["type"] == "tool-order_umbrella"]
    return message, call


@pytest.mark.parametrize("agent", ["weather", "backend"])
async def test_person_is_asked_and_the_answer_goes_on(with_agents: Deployment, agent: str) -> None:
    """In Python and behind HTTP; the question waits in the log, any gateway takes the answer."""
    for approved, state in ((True, "output-available"), (False, "output-denied")):
        session = with_agents.session()
        asked = await session.send(ORDER, extra={"agent": agent})
        assert "tool-approval-request" in asked.types, asked.chunks
        message, call = await call_in(session)
        assert (call["state"], call["input"]) == ("approval-requested", {"size": "big"})

        answer = {"id": call["approval"]["id"], "approved": approved}
        call |= {"state": "approval-responded", "approval": answer}
        elsewhere = session.through(with_agents.gateways[1].at)
        async with elsewhere.at.request(
            "POST",
            "/api/chat",
            {
                "id": session.id,
                "agent": agent,
                "trigger": "submit-message",
                "messageId": message["id"],
                "messages": [message],
            },
        ) as response:
            assert response.status == 200, await response.body()
            await response.body()
        kept, call = await call_in(session)
        assert call["state"] == state
        assert (kept["id"], bool(text_of(kept))) == (message["id"], True)
        if approved:
            assert call["output"] == "A big umbrella is on its way."
        assert [run["outcome"] for run in (await session.snapshot())["runs"]][-1] == "finished"
