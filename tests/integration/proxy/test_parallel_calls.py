"""Two calls of one run at once: in order, or refused where its backend sees it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.proxy.test_runs import WEATHER, called, calling, look, states, texts
from tests.support.processes import eventually
from tests.support.provider_calls import body_for
from tests.support.sdks import BROKEN_OFF, REFUSED, SDKS, Sdk, sdk_id, with_results
from tests.support.sessions import new_chat_id
from tests.support.simulator import HeldAnswer
from tests.support.wire import ConnectionLost

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment

pytestmark = pytest.mark.anyio


def words(sdk: Sdk, answer: Any) -> str:
    """The text of an answer that did not stream."""
    if sdk.api == "chat":
        return str(answer.choices[0].message.content or "")
    if sdk.api == "responses":
        return str(answer.output_text)
    return "".join(block.text for block in answer.content if block.type == "text")


def tool_calls(sdk: Sdk, answer: Any) -> int:
    """The number of tools that it calls."""
    if sdk.api == "chat":
        return len(answer.choices[0].message.tool_calls or ())
    items = answer.output if sdk.api == "responses" else answer.content
    return sum(item.type in ("function_call", "tool_use") for item in items)


@pytest.mark.parametrize("gateways", [1, 2])
@pytest.mark.parametrize("sdk", SDKS, ids=sdk_id)
async def test_calls_at_once_are_shown_or_refused(
    deployment: Deployment, sdk: Sdk, gateways: int
) -> None:
    """Through one gateway or several: the first calls of a run, and its next ones.

    Of two that begin in the same moment in two processes, the loser's body is broken off.
    """
    ends = [gateway.at for gateway in deployment.gateways][:gateways]
    session = new_chat_id()
    body = body_for(sdk.api, f"{WEATHER} [[steps=2]]", stream=False)
    shown: list[Any] = []
    broken_off: list[BaseException] = []
    for _ in range(3):
        came = await asyncio.gather(
            *(sdk.call(ends[n % gateways], body, session=session, run="t") for n in range(3)),
            return_exceptions=True,
        )
        answers = [each for each in came if not isinstance(each, BaseException)]
        refused = [each for each in came if isinstance(each, REFUSED)]
        broken = [each for each in came if isinstance(each, BROKEN_OFF)]
        assert len(answers) + len(refused) + len(broken) == 3, came
        broken_off += broken
        assert {each.response.headers["x-midstream-error"] for each in refused} <= {
            "run_active",
            "conflict",
        }
        assert answers
        shown += answers
        if words(sdk, answers[0]):
            break
        body = with_results(sdk.api, body, answers[0])
    kept = await look(ends[0], session)

    _, answer = kept["messages"]
    said = "".join(words(sdk, each) for each in shown)
    calls = sum(tool_calls(sdk, each) for each in shown)
    assert said and said in texts(answer)
    assert len(states(answer)) >= calls
    if not broken_off:
        # The received part of a broken call is in the session, too.
        assert (texts(answer), len(states(answer))) == (said, calls)
    assert [run["outcome"] for run in kept["runs"]] == ["finished"]


async def test_call_that_a_later_one_replaces_elsewhere_is_broken_off(
    deployment: Deployment,
) -> None:
    """An SDK's retry, while its first try is still read by somebody: that one sees a break."""
    at, other = (gateway.at for gateway in deployment.gateways)
    session = new_chat_id()
    body = body_for("chat", f"{session} [[tokens=400 rate=0]] [[stall=10m after=100]]")
    said = asyncio.Event()

    async def read() -> None:
        async with calling(at, "chat", body, session, run="t") as response:
            async for _ in response.pieces():
                said.set()

    first = asyncio.create_task(read())
    await said.wait()
    again = body_for("chat", "Again. [[tokens=3]]")
    headers = {"x-stainless-retry-count": "1", "authorization": "Bearer any"}
    named = {"x-midstream-session": session, "x-midstream-run": "t"}
    path = "/proxy/openai/v1/chat/completions"
    async with other.request("POST", path, again, headers={**headers, **named}) as response:
        assert response.status == 200
        data = await response.body()
    with pytest.raises(ConnectionLost):
        await first
    assert data.endswith(b"data: [DONE]\n\n")
    assert (await look(at, session))["runs"][-1]["outcome"] == "finished"


async def test_next_call_waits_for_the_end_of_the_one_before_elsewhere(
    deployment: Deployment,
) -> None:
    """A call that is made a moment too early becomes the next step."""
    at, other = (gateway.at for gateway in deployment.gateways)
    session = new_chat_id()
    held = HeldAnswer(deployment.simulator, tokens=9, after=1, size=None)
    body = body_for("chat", f"{session} {WEATHER} {held.directive}")
    first = asyncio.create_task(called(at, "chat", body, session, run="t"))

    async def asked() -> bool:
        return bool(await deployment.simulator.requests(session))

    await eventually(asked, "the provider has the request")
    again = body_for("chat", f"{session} Go on. [[tokens=3]]", stream=False)
    second = asyncio.create_task(called(other, "chat", again, session, run="t"))
    done, _ = await asyncio.wait({second}, timeout=0.2)
    assert not done
    await held.release()
    statuses = [(await first)[0], (await second)[0]]
    kept = await look(at, session)

    assert statuses == [200, 200]
    assert [run["outcome"] for run in kept["runs"]] == ["finished"]
    assert texts(kept["messages"][1])
    assert json.loads((await second)[1])["choices"]
