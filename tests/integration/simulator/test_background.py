"""OpenAI's own SDK against simulated responses in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx2
import openai
import pytest

if TYPE_CHECKING:
    from openai.types.responses import ResponseStreamEvent

    from tests.integration.simulator.conftest import Simulated

pytestmark = pytest.mark.anyio

SLOW = "Hi [[tokens=40 rate=100 first=0]]"


async def begin(sim: Simulated, prompt: str) -> Any:
    """Begin a response in the background and return its stream."""
    return await sim.openai.responses.create(
        model="sim", input=prompt, background=True, stream=True
    )


async def some(stream: Any, count: int) -> list[Any]:
    """Read so many events, and let go of the connection."""
    got: list[Any] = []
    async for event in stream:
        got.append(event)
        if len(got) == count:
            break
    await stream.close()
    return got


async def rest(sim: Simulated, response_id: str, after: int) -> list[ResponseStreamEvent]:
    """Read what follows an event."""
    stream = await sim.openai.responses.retrieve(response_id, stream=True, starting_after=after)
    return [event async for event in stream]


async def test_response_goes_on_without_its_reader(sim: Simulated) -> None:
    """A reader continues after the last event that it saw, to the end."""
    seen = await some(await begin(sim, SLOW), 12)
    assert [event.type for event in seen[:3]] == [
        "response.created",
        "response.queued",
        "response.in_progress",
    ]
    assert seen[0].response.status == "queued"

    missed: list[Any] = await rest(sim, seen[0].response.id, seen[-1].sequence_number)

    numbers = [event.sequence_number for event in (*seen, *missed)]
    assert numbers == list(range(len(numbers)))
    assert missed[-1].type == "response.completed"
    text = "".join(e.delta for e in (*seen, *missed) if e.type == "response.output_text.delta")
    assert missed[-1].response.output_text == text
    again = await rest(sim, seen[0].response.id, -1)
    assert [event.to_json() for event in again] == [e.to_json() for e in (*seen, *missed)]


async def test_two_readers_follow_the_same_response(sim: Simulated) -> None:
    """Each gets every event after the one that it names."""
    stream = await begin(sim, SLOW)
    (created,) = await some(stream, 1)

    first: list[Any] = await rest(sim, created.response.id, 0)
    second: list[Any] = await rest(sim, created.response.id, 5)

    assert [e.sequence_number for e in first] == list(range(1, len(first) + 1))
    assert [e.to_json() for e in second] == [e.to_json() for e in first[5:]]


@pytest.mark.parametrize("incident", ["cut", "eof"])
async def test_lost_connection_leaves_the_response(sim: Simulated, incident: str) -> None:
    """It happens once, at its delta; who comes again gets the rest."""
    seen: list[Any] = []
    stream = aiter(await begin(sim, f"{SLOW} [[{incident} after=10]]"))
    try:
        while (event := await anext(stream, None)) is not None:
            seen.append(event)
    except (openai.APIError, httpx2.HTTPError):
        assert incident == "cut"
    else:
        assert incident == "eof"
    assert sum(event.type.endswith(".delta") for event in seen) == 10

    missed: list[Any] = await rest(sim, seen[0].response.id, seen[-1].sequence_number)

    assert sum(event.type.endswith(".delta") for event in missed) == 30
    assert missed[-1].type == "response.completed"


async def test_cancel_ends_a_response(sim: Simulated) -> None:
    """Its stream ends without a terminal event; the stored response says that it was cancelled."""
    stream = await begin(sim, "Hi [[tokens=5000 rate=100 first=0]]")
    created = await anext(aiter(stream))

    cancelled = await sim.openai.responses.cancel(created.response.id)

    assert cancelled.status == "cancelled"
    assert all(event.type != "response.completed" for event in [e async for e in stream])
    assert (await sim.openai.responses.retrieve(created.response.id)).status == "cancelled"
    assert [r.path.rpartition("/")[2] for r in sim.app.journal.records] == [
        "responses",
        "cancel",
        created.response.id,
    ]


async def test_response_without_a_stream_is_polled(sim: Simulated) -> None:
    """It is queued at first, and complete in the end."""
    begun = await sim.openai.responses.create(model="sim-instant", input="Hi", background=True)
    assert begun.status in ("queued", "in_progress")

    assert (await rest(sim, begun.id, -1))[-1].type == "response.completed"

    assert (await sim.openai.responses.retrieve(begun.id)).status == "completed"


async def test_unknown_response_is_not_found(sim: Simulated) -> None:
    """Neither its events nor its cancellation."""
    with pytest.raises(openai.NotFoundError):
        await rest(sim, "resp_nobody", 0)
    with pytest.raises(openai.NotFoundError):
        await sim.openai.responses.cancel("resp_nobody")
