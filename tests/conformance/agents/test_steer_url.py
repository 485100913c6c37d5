"""Messages for the answer of a route of ai 7, which has its own `experimental_steering`."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.processes import eventually
from tests.support.sessions import Transcript, text_of, user_message

if TYPE_CHECKING:
    from tests.conformance.agents.conftest import Backends
    from tests.support.fixtures import Deployment
    from tests.support.sessions import Session

pytestmark = pytest.mark.anyio

ROUTE = {"agent": "route"}
BOOK = '[[tool=book {"train": "EC 7"}]]'


async def until_given(backends: Backends, name: str) -> None:
    """Wait until the route has a message: what comes later may miss its answer."""
    output = backends.route.process.output
    await eventually(lambda: f"steered {name}\n" in output(), "the route has the message")


async def steer(session: Session, text: str, name: str, wait_ms: int = 0) -> tuple[int, Any]:
    body = {"message": user_message(text, name), "waitMs": wait_ms}
    return await session.at.call("POST", f"/api/chat/{session.id}/steer", body)


async def outcome(session: Session, text: str, name: str) -> dict[str, Any]:
    """Wait for the outcome of a message that was given before."""
    while (told := await steer(session, text, name, 20_000))[0] == 202:
        pass
    return dict(told[1])


async def test_route_reads_a_message_for_its_answer_and_goes_on(
    with_agents: Deployment, backends: Backends
) -> None:
    """Through another gateway, while the answer is being written; also in the next turn."""
    session, name = with_agents.session(), f"s-{secrets.token_hex(4)}"
    elsewhere = session.through(with_agents.gateways[1].at)
    held = with_agents.simulator.held(tokens=6)
    wanted = f"Say it in one line. [[tokens=3]] {session.id}"
    async with session.sending(held.question, extra=ROUTE) as response:
        seen = Transcript()
        async for _ in seen.follow(response):
            if seen.text:
                break
        status, told = await steer(elsewhere, wanted, name)
        assert (status, told["type"]) == (202, "pending")
        await until_given(backends, name)
        await held.release()
        told = await outcome(elsewhere, wanted, name)
        assert (told["type"], told["stepNumber"]) == ("delivered", 1)
        await seen.read(response)

    asked, answer = (await session.snapshot())["messages"]
    kinds = [part["type"] for part in answer["parts"]]
    assert [kind for kind in kinds if kind not in ("step-start", "custom")] == [
        *["text", "steering-message", "text"]
    ]
    [said] = [part for part in answer["parts"] if part["type"] == "steering-message"]
    assert (said["id"], said["parts"]) == (name, [{"type": "text", "text": wanted}])
    before = next(part["text"] for part in answer["parts"] if part["type"] == "text")
    assert await with_agents.simulator.read(wanted) == [text_of(asked), before, wanted]

    question = f"And then? [[tokens=2]] {session.id}"
    await session.send(question, extra=ROUTE)
    read = await with_agents.simulator.read(question)
    assert (read[:3], read[-1]) == ([text_of(asked), before, wanted], question)


async def test_message_that_the_route_cannot_deliver_is_answered_next(
    with_agents: Deployment, backends: Backends
) -> None:
    """The answer ends with a question to a person, so that no further step reads the message."""
    session, name = with_agents.session(), f"s-{secrets.token_hex(4)}"
    held = with_agents.simulator.held(tokens=6)
    wanted = f"Not by train. [[tokens=3]] {session.id}"
    async with session.sending(f"{BOOK} {held.directive}", extra=ROUTE) as response:
        seen = Transcript()
        async for chunk in seen.follow(response):
            if chunk["type"] == "start-step":
                break
        status, told = await steer(session, wanted, name)
        assert (status, told["type"]) == (202, "pending")
        await until_given(backends, name)
        await held.release()
        told = await outcome(session, wanted, name)
        assert told["type"] == "not-delivered"
        await seen.read(response)
    [entry] = (await session.snapshot())["queue"]["entries"]
    assert entry["id"] == name


async def test_message_for_a_backend_without_a_steer_url_is_unsupported_and_answered_next(
    with_agents: Deployment,
) -> None:
    session = with_agents.session()
    held = with_agents.simulator.held(tokens=6)
    async with session.sending(held.question, extra={"agent": "backend"}) as response:
        seen = Transcript()
        async for _ in seen.follow(response):
            if seen.text:
                break
        status, told = await steer(session, "No [[tokens=1]]", "s1")
        assert (status, told["reason"]) == (200, "unsupported")
        await held.release()
        await seen.read(response)

    async def is_answered() -> bool:
        snapshot = await session.snapshot()
        asked = [each["id"] for each in snapshot["messages"] if each["role"] == "user"]
        return asked[1:] == ["s1"] and snapshot["runs"][-1]["state"] == "ended"

    await eventually(is_answered, "it is answered next")
