"""Agents of somebody's own, in a session whose last answer has taken a person's message up."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.agents.conftest import AGENTS
from tests.support.processes import eventually
from tests.support.sessions import user_message

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment
    from tests.support.sessions import Session

pytestmark = pytest.mark.anyio


async def steered(deployment: Deployment, text: str) -> Session:
    """A session with one answer, to which a person has said `text`."""
    session = deployment.session()
    held = deployment.simulator.held(tokens=6)
    await session.begin_speaking(held.question)
    said = {"message": user_message(text, "s1")}
    status, answer = await session.at.call("POST", f"/api/chat/{session.id}/steer", said)
    assert (status, answer["type"]) == (202, "pending")
    await held.release()
    await eventually(session.is_ended, "the answer has ended")
    return session


def roles(messages: Any, text: str) -> list[str]:
    """Who has said a text, to the model."""
    return [each["role"] for each in messages if text in json.dumps(each["content"])]


@pytest.mark.parametrize("agent", AGENTS)
async def test_next_turn_is_answered_and_its_model_reads_what_the_person_said(
    agent: str, with_agents: Deployment
) -> None:
    said, mark = f"Briefly, {secrets.token_hex(4)}.", f"And now? {secrets.token_hex(4)}"
    session = await steered(with_agents, f"{said} [[tokens=3]]")
    answer = await session.send(f"{mark} [[tokens=3]]", extra={"agent": agent})
    assert answer.done
    assert "error" not in answer.types
    snapshot = await session.snapshot()
    assert snapshot["runs"][-1]["outcome"] == "finished"
    assert [part["type"] for part in snapshot["messages"][1]["parts"]].count(
        "steering-message"
    ) == 1
    requests = await with_agents.simulator.requests(mark)
    assert requests or agent == "story"
    for request in requests:
        assert roles(request["body"]["messages"], said) == ["user"]
