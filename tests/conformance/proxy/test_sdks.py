"""Both SDKs, in Python and Node, behave with the proxy as they do without."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import anthropic
import httpx2
import openai
import pytest

from tests.support.node_program import NodeProgram, node_program
from tests.support.processes import eventually
from tests.support.provider_calls import APIS, body_for
from tests.support.sessions import new_chat_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.fixtures import Deployment

pytestmark = pytest.mark.anyio

# Headers that differ for each request, with or without a proxy.
_OWN: Final = re.compile(
    r"\b(chatcmpl-|resp_|msg_(?:01)?|call_|toolu_01|srvtoolu_01|rs_|fc_|ws_|req_)[0-9A-Za-z]{24}"
)
_TIMES: Final = re.compile(r'"(created|created_at)": ?\d+')


class Case(NamedTuple):
    """A call: its arguments and its key."""

    prompt: str
    stream: bool = True
    key: str = "any"
    leave_after: int = 0


CASES: Final = {
    "streamed": Case("Hi [[tokens=30 reasoning=5]]"),
    "whole": Case("Hi [[tokens=30 reasoning=5]]", stream=False),
    "streamed tool": Case('[[tool=weather {"city":"Paris"}]]'),
    "whole tool": Case('[[tool=weather {"city":"Paris"}]]', stream=False),
    "refusal": Case("[[refuse]]"),
    "400": Case("[[tokens=nonsense]]"),
    "401": Case("Hi", key="invalid"),
    "429": Case("[[http=429 retry=7s]]"),
    "500": Case("[[http=500]]", stream=False),
    "529": Case("[[http=529]]"),
    "error in the stream": Case("[[tokens=30 rate=0]] [[error=overloaded after=5]]"),
    "cut in the stream": Case("[[tokens=30 rate=0]] [[cut after=5]]"),
    "cut before the answer": Case("[[tokens=30 rate=0]] [[cut]]", stream=False),
    "end without an end": Case("[[tokens=30 rate=0]] [[eof after=5]]"),
    "event that is no JSON": Case("[[tokens=30 rate=0]] [[malformed after=5]]"),
    "left": Case("[[tokens=3000 rate=300]]", leave_after=4),
}
# The provider's connection breaks before it has answered: a caller that is not connected to
# it cannot see that. It sees a 502, which SDKs try again as they would the connection.
_SEEN_AS_A_STATUS: Final = "cut before the answer"


def comparable(came: Any) -> Any:
    """Without what no two requests have in common."""
    text = _TIMES.sub(r'"\1": 0', _OWN.sub(r"\1", json.dumps(came)))
    return json.loads(text)


async def in_python(base: str, api: str, case: Case, body: dict[str, Any]) -> Any:
    """The Python SDK's result of the call."""
    kind = anthropic.AsyncAnthropic if api == "messages" else openai.AsyncOpenAI
    path = "anthropic" if api == "messages" else "openai/v1"
    came: dict[str, Any] = {"events": []}
    async with kind(api_key=case.key, base_url=f"{base}/{path}", max_retries=0) as client:
        asked: Any = client
        for name in {"chat": ("chat", "completions")}.get(api, (api,)):
            asked = getattr(asked, name)
        try:
            answer = await asked.create(**body)
            if not case.stream:
                return {**came, "answer": answer.to_dict(mode="json")}
            async for event in answer:
                came["events"].append(event.to_dict(mode="json"))
                if len(came["events"]) == case.leave_after:
                    break
        except (anthropic.APIError, openai.APIError) as error:
            response = getattr(error, "response", None)
            came["error"] = {
                "kind": type(error).__name__,
                "body": error.body,
                "said": str(error),
                "after": None if response is None else response.headers.get("retry-after"),
            }
        except httpx2.TransportError:
            # A reset and an early end have classes of their own: which it is depends on what
            # of an answer was still in a buffer.
            came["error"] = {"kind": "TransportError"}
        except ValueError as error:
            came["error"] = {"kind": type(error).__name__, "said": str(error)}
    return came


class InNode:
    """The Node SDKs' results of calls, in one process."""

    def __init__(self, program: NodeProgram) -> None:
        self._program = program

    async def __call__(self, base: str, api: str, case: Case, body: dict[str, Any]) -> Any:
        """The SDK's result of the call."""
        wanted = {"api": api, "base": base, "key": case.key, "body": body}
        return self._program.ask({**wanted, "leaveAfter": case.leave_after})


@pytest.fixture(params=["python", "node"])
def sdk(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A function that makes a call with one of the SDKs."""
    if request.param == "python":
        yield in_python
        return
    with node_program("sdk_calls.mjs") as program:
        yield InNode(program)


@pytest.mark.parametrize("api", APIS)
async def test_sdk_sees_no_difference(deployment: Deployment, api: str, sdk: Any) -> None:
    """Answers, tools, refusals, errors, cuts and leaving: as if connected directly."""
    proxied = f"{deployment.gateways[0].at.url}/proxy"
    for name, case in CASES.items():
        marker = new_chat_id()
        body = body_for(api, f"{marker} {case.prompt}", stream=case.stream)
        direct = await sdk(deployment.simulator.url, api, case, body)
        through = await sdk(proxied, api, case, body)
        if name == _SEEN_AS_A_STATUS:
            assert "Connection" in direct["error"]["kind"], name
            assert through["error"]["kind"] == "InternalServerError", name
            continue
        assert comparable(through) == comparable(direct), name
        assert through["events"] or "answer" in through or "error" in through, name

        async def both_ended(marker: str = marker) -> bool:
            requests = await deployment.simulator.requests(marker)
            return len(requests) == 2 and len({each["ended"] for each in requests} - {None}) == 1

        if case.key == "any" and not name.startswith("400"):
            await eventually(both_ended, f"both ended in the same way: {name}")
