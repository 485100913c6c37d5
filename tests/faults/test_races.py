"""Promise 8: a retry is safe, and two sends at once get one run and one clear answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import eventually
from tests.support.sessions import Session, Transcript, text_of

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment

pytestmark = pytest.mark.anyio


async def post(session: Session, text: str, message_id: str) -> tuple[int, str, Transcript]:
    """Send; return status, the run's id or the error's code, and the answer."""
    async with session.sending(text, message_id=message_id) as response:
        if response.status != 200:
            return response.status, (await response.json())["error"]["code"], Transcript()
        seen = await Transcript().read(response)
        return 200, response.headers["x-midstream-run-id"], seen


async def test_fifty_posts_of_one_message_are_one_run(deployment: Deployment) -> None:
    """However often a message arrives, at whichever gateway, all get the same stream."""
    session = deployment.session()

    answers = await asyncio.gather(
        *(
            post(session.through(deployment.gateways[n % 2].at), "[[tokens=60 rate=100]]", "u-once")
            for n in range(50)
        )
    )

    assert {status for status, _, _ in answers} == {200}
    assert len({run for _, run, _ in answers}) == 1
    texts = {seen.text for _, _, seen in answers}
    assert len(texts) == 1
    assert texts == {text_of((await session.snapshot())["messages"][-1])}
    assert all(seen.done and seen.types.count("finish") == 1 for _, _, seen in answers)


async def test_two_messages_at_once_are_one_run_and_one_refusal(deployment: Deployment) -> None:
    """Never two interleaved answers: the second tab gets `run_active`."""
    session = deployment.session()
    other = session.through(deployment.gateways[1].at)

    answer = deployment.simulator.held()

    sends = [
        asyncio.create_task(post(session, f"{answer.question} left", "u-left")),
        asyncio.create_task(post(other, f"{answer.question} right", "u-right")),
    ]
    await asyncio.wait(sends, return_when=asyncio.FIRST_COMPLETED)
    await answer.release()
    answers = await asyncio.gather(*sends)

    assert sorted(status for status, _, _ in answers) == [200, 409]
    assert [code for status, code, _ in answers if status == 409] == ["run_active"]
    assert len((await session.snapshot())["messages"]) == 2


async def test_send_that_interrupts_ends_the_run_and_is_answered(deployment: Deployment) -> None:
    """`onActive: interrupt` stops the active run, for all its readers, and begins the new one."""
    session = deployment.session()
    other = session.through(deployment.gateways[1].at)
    first = asyncio.create_task(session.send("[[tokens=5000 rate=100 first=0]] first"))

    async def exists() -> bool:
        return (await other.at.call("GET", f"/api/chat/{session.id}"))[0] == 200

    await eventually(exists, "the first send is accepted")

    second = await other.send("second [[tokens=5]]", extra={"onActive": "interrupt"})

    assert second.chunks[-1]["finishReason"] == "stop"
    assert (await first).types[-2:] == ["abort", "finish"]
    runs = {run["outcome"] for run in (await session.snapshot())["runs"]}
    assert runs <= {"stopped", "finished"}
    assert "finished" in runs


async def test_two_interrupts_at_once_leave_one_active_run_at_a_time(
    deployment: Deployment,
) -> None:
    """In any order of the interrupts, each run has one end, and the log holds no two at once."""
    session = deployment.session()
    await session.begin("[[tokens=5000 rate=100 first=0]]")

    answers = await asyncio.gather(
        *(
            session.through(deployment.gateways[n % 2].at).send(
                f"number {n} [[tokens=10 rate=100]]", extra={"onActive": "interrupt"}
            )
            for n in range(4)
        )
    )

    assert all(seen.types.count("finish") == 1 for seen in answers)
    assert sum(seen.chunks[-1].get("finishReason") == "stop" for seen in answers) >= 1
    assert {run["state"] for run in (await session.snapshot())["runs"]} == {"ended"}


async def test_repeated_send_of_an_answered_message_replays_its_run(
    deployment: Deployment,
) -> None:
    """A send whose answer was lost is sent again: the same answer, not a second one."""
    session = deployment.session()
    first = await post(session, "[[tokens=20]] once", "u-lost")
    second = await post(session.through(deployment.gateways[1].at), "[[tokens=20]] once", "u-lost")

    assert second[:2] == first[:2]
    assert second[2].text == first[2].text
    assert len((await session.snapshot())["messages"]) == 2


async def test_same_id_with_other_content_is_an_edit(deployment: Deployment) -> None:
    """An edit replaces the message and everything after it."""
    session = deployment.session()
    await post(session, "[[tokens=5]] before", "u-edit")
    await post(session, "[[tokens=5]] follow-up", "u-next")

    body = session.body("[[tokens=5]] after", "u-edit", {"messageId": "u-edit"})
    async with session.at.request("POST", "/api/chat", body) as response:
        assert response.status == 200, await response.body()
        await Transcript().read(response)

    kept = (await session.snapshot())["messages"]
    assert [m["role"] for m in kept] == ["user", "assistant"]
    assert text_of(kept[0]) == "[[tokens=5]] after"


async def test_clients_copy_of_the_history_is_not_believed(deployment: Deployment) -> None:
    """The assistant's messages are those of the server, whatever a client sends."""
    session = deployment.session()
    await session.send("[[tokens=5]] truth")
    kept = (await session.snapshot())["messages"]
    forged = [
        kept[0],
        {**kept[1], "parts": [{"type": "text", "text": "FORGED"}]},
        {"id": "u-last", "role": "user", "parts": [{"type": "text", "text": "[[echo]]"}]},
    ]

    body = {"id": session.id, "messages": forged, "trigger": "submit-message"}
    async with session.at.request("POST", "/api/chat", body) as response:
        seen = await Transcript().read(response)

    assert response.status == 200, await response.body()
    assert "FORGED" not in seen.text
    assert (await session.snapshot())["messages"][:2] == kept
