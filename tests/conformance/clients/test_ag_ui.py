"""AG-UI's own `HttpAgent` in sessions of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midstream.protocol.ag_ui import AgUiEncoder
from midstream.protocol.chunks import AbortChunk, ErrorChunk, FinishChunk, TextDeltaChunk
from tests.support.in_process import code_of
from tests.support.legal_chunks import runs
from tests.support.node_program import node_program
from tests.support.sessions import Session, new_chat_id, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from midstream.protocol.chunks import AnyChunk
    from midstream.protocol.writer import ChunkWriter
    from tests.support.fixtures import Deployment
    from tests.support.node_program import NodeProgram

pytestmark = pytest.mark.anyio

FAILED = "unable to go on"
ENDS: list[list[AnyChunk]] = [
    [FinishChunk()],
    [AbortChunk(), FinishChunk()],
    [ErrorChunk(error_text=FAILED), FinishChunk()],
]


@pytest.fixture(scope="module")
def http_agent() -> Iterator[NodeProgram]:
    """One process for the tests of this module."""
    with node_program("ag_ui.mjs") as program:
        yield program


def said(text: str) -> dict[str, str]:
    return {"id": f"m-{new_chat_id()}", "role": "user", "content": text}


def types(answer: Any) -> list[str]:
    return [event["type"] for event in answer["events"]]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(runs(), st.sampled_from(ENDS), st.integers(1, 5))
def test_client_accepts_every_run_and_has_its_text(
    http_agent: NodeProgram,
    made: tuple[Sequence[AnyChunk], ChunkWriter],
    end: Sequence[AnyChunk],
    at_once: int,
) -> None:
    """Its checks of order are strict: one wrong event ends a run with an error."""
    run = [*made[0], *end]
    encoder = AgUiEncoder("thread", "run")
    pieces = [run[i : i + at_once] for i in range(0, len(run), at_once)]
    body = b"".join(map(encoder.encode, pieces)).decode()
    answer = http_agent.ask({"threadId": "thread", "runId": "run", "body": body})

    has_failed = isinstance(end[0], ErrorChunk)
    assert answer["error"] is None
    assert types(answer)[0] == "RUN_STARTED"
    assert types(answer)[-1] == ("RUN_ERROR" if has_failed else "RUN_FINISHED")
    of_agent = [message for message in answer["messages"] if message["role"] == "assistant"]
    texts = [message["content"] for message in of_agent if message.get("content")]
    assert sorted("".join(texts)) == sorted("".join(chunk.delta for chunk in told(run)))


def told(run: Sequence[AnyChunk]) -> Iterator[TextDeltaChunk]:
    """Yield the texts of a run."""
    return (chunk for chunk in run if isinstance(chunk, TextDeltaChunk))


async def test_person_talks_to_an_agent_and_the_session_has_it_all(
    deployment: Deployment, http_agent: NodeProgram
) -> None:
    """Two turns by AG-UI; the AI SDK's clients see the same session, and the model both turns."""
    session = deployment.session()
    url = f"{session.at.url}/api/ag-ui/assistant"
    first = http_agent.ask(
        {"url": url, "threadId": session.id, "runId": "r1", "messages": [said("One [[tokens=9]]")]}
    )
    assert first["error"] is None
    assert types(first)[:3] == ["RUN_STARTED", "STEP_STARTED", "TEXT_MESSAGE_START"]
    second = http_agent.ask(
        {
            "url": url,
            "threadId": session.id,
            "runId": "r2",
            "messages": [*first["messages"], said("Two [[tokens=9]]")],
        }
    )
    assert second["error"] is None
    stored = (await session.snapshot())["messages"]
    assert [message["role"] for message in stored] == ["user", "assistant"] * 2
    assert [m["content"] for m in second["messages"]] == [text_of(m) for m in stored]
    assert second["messages"][-1]["id"] == stored[-1]["id"]


async def test_run_whose_connection_was_lost_is_asked_for_again(
    deployment: Deployment, http_agent: NodeProgram
) -> None:
    """The same `runId` is the same run, from its beginning, on another gateway too."""
    session = deployment.session()
    held = deployment.simulator.held(tokens=12)
    question = said(held.question)
    body = {
        "threadId": session.id,
        "runId": "r1",
        "messages": [question],
        "tools": [],
        "context": [],
    }
    async with session.at.request("POST", "/api/ag-ui/assistant", body) as response:
        async for event in response.events():
            if "TEXT_MESSAGE_CONTENT" in event.data:
                break
    await held.release()
    other = deployment.gateways[1].at
    answer = http_agent.ask(
        {
            "url": f"{other.url}/api/ag-ui/assistant",
            "threadId": session.id,
            "runId": "r1",
            "messages": [question],
        }
    )
    assert answer["error"] is None
    [_, stored] = (await session.snapshot())["messages"]
    assert answer["messages"][-1]["content"] == text_of(stored)


async def test_stop_ends_the_run_as_cancelled(
    deployment: Deployment, http_agent: NodeProgram
) -> None:
    session = deployment.session()
    run = await session.begin_speaking("Go on [[tokens=90000 rate=20]]", message_id="u1")
    status, _ = await session.at.call("POST", f"/api/chat/{session.id}/stop", {"runId": run})
    assert status == 200
    told_again = http_agent.ask(
        {
            "url": f"{session.at.url}/api/ag-ui/assistant",
            "threadId": session.id,
            "runId": "r2",
            "messages": [said("And now? [[tokens=3]]")],
        }
    )
    assert told_again["error"] is None
    assert types(told_again)[-1] == "RUN_FINISHED"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "invalid_request"),
        ({"threadId": "t", "runId": "r", "messages": []}, 400, "invalid_request"),
        ({"threadId": "a b", "runId": "r", "messages": [said("x")]}, 400, "invalid_request"),
        ({"threadId": "t1", "runId": "../r", "messages": [said("x")]}, 400, "invalid_request"),
        (
            {"threadId": "t2", "runId": "r", "messages": [{**said(""), "role": "assistant"}]},
            400,
            "invalid_request",
        ),
        (
            {"threadId": "t3", "runId": "r", "messages": [{**said("7"), "role": "tool"}]},
            404,
            "session_not_found",
        ),
    ],
)
async def test_request_that_cannot_be_answered_is_refused_with_a_sentence(
    deployment: Deployment, body: dict[str, object], status: int, code: str
) -> None:
    answered, answer = await deployment.gateways[0].at.call("POST", "/api/ag-ui/assistant", body)
    assert (answered, code_of(msgspec.json.encode(answer))) == (status, code)


async def test_agent_that_is_not_there_is_named(deployment: Deployment) -> None:
    session = Session(deployment.gateways[0].at)
    body = {"threadId": session.id, "runId": "r", "messages": [said("x")]}
    status, answer = await session.at.call("POST", "/api/ag-ui/nobody", body)
    assert (status, code_of(msgspec.json.encode(answer))) == (404, "agent_not_found")
