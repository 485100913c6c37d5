"""Backends that call models with the official SDKs, in loops: no run of theirs is interrupted.

An SDK leaves with the protocol's last event, and its next call follows at once; the provider ends
the body a moment later, or never.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any, Final

import anthropic
import openai
import pytest

from tests.integration.endings.answers import APIS, call, end, text, wire
from tests.integration.endings.conftest import AGENTS
from tests.support.scripted import COMMENTS, EOF, OPEN, RESET
from tests.support.sessions import new_chat_id
from tests.support.snapshots import look, said

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.support.gateway import GatewayProcess
    from tests.support.scripted import Act, Scripted

pytestmark = pytest.mark.anyio

CALLS: Final = 200
TURNS_AT_ONCE: Final = 4

ENDINGS: Final[list[list[Act]]] = [
    [EOF],
    [0.003, EOF],
    [0.02, EOF],
    [OPEN],
    [COMMENTS],
    [0.003, RESET],
]

_SCHEMA: Final = {"type": "object", "properties": {"city": {"type": "string"}}}
_DECLARED: Final[dict[str, Any]] = {
    "chat": [{"type": "function", "function": {"name": "weather", "parameters": _SCHEMA}}],
    "responses": [{"type": "function", "name": "weather", "parameters": _SCHEMA}],
    "messages": [{"name": "weather", "input_schema": _SCHEMA}],
}


def _first(api: str, prompt: str) -> dict[str, Any]:
    """Return the parameters of a turn's first call."""
    asked = [{"role": "user", "content": prompt}]
    body: dict[str, Any] = {"model": "odd-1", "tools": _DECLARED[wire(api)], "stream": True}
    if api == "responses":
        return {**body, "input": asked}
    return {**body, "messages": asked, **({"max_tokens": 99} if api == "messages" else {})}


def _second(api: str, first: dict[str, Any]) -> dict[str, Any]:
    """Return those of its second, which brings the tool's result."""
    if api == "responses":
        called = {"type": "function_call", "call_id": "t0", "name": "weather", "arguments": "{}"}
        result = {"type": "function_call_output", "call_id": "t0", "output": "21"}
        return {**first, "input": [*first["input"], called, result]}
    if wire(api) == "chat":
        function = {"name": "weather", "arguments": "{}"}
        calls = [{"id": "t0", "type": "function", "function": function}]
        more = [
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": "t0", "content": "21"},
        ]
    else:
        used = {"type": "tool_use", "id": "t0", "name": "weather", "input": {}}
        result = {"type": "tool_result", "tool_use_id": "t0", "content": "21"}
        more = [{"role": "assistant", "content": [used]}, {"role": "user", "content": [result]}]
    return {**first, "messages": [*first["messages"], *more]}


class _Loop:
    """Turns of two calls each, with one of the SDKs."""

    def __init__(self, gateway: GatewayProcess, provider: Scripted, api: str) -> None:
        self.api = api
        self.url = f"{gateway.at.url}/proxy/{AGENTS[api]}" + ("" if api == "messages" else "/v1")
        self.provider = provider
        self.endings = itertools.cycle(ENDINGS)

    def turn(self) -> tuple[str, list[dict[str, Any]], dict[str, str]]:
        """Prepare a turn: its session, its calls, their headers."""
        session = new_chat_id()
        self.provider.play(
            session,
            [*call(self.api, "t0", "{}"), *end(self.api, called=True), *next(self.endings)],
            [*text(self.api, "All ", "said."), *end(self.api), *next(self.endings)],
        )
        first = _first(self.api, session)
        headers = {"x-midstream-session": session, "x-midstream-run": f"run-{session}"}
        return session, [first, _second(self.api, first)], headers

    def make(self, client: Any) -> Any:
        """Return the SDK's function that makes such calls."""
        if wire(self.api) == "chat":
            return client.chat.completions.create
        return client.responses.create if self.api == "responses" else client.messages.create

    def until_last(self, stream: Iterator[Any]) -> None:
        """Read as loops do: to the last event, and no further."""
        for event in stream:
            if getattr(event, "type", "") in ("message_stop", "response.completed"):
                break


def _client(url: str, *, asynchronous: bool) -> Any:
    if url.endswith("/v1"):
        made: Any = openai.AsyncOpenAI if asynchronous else openai.OpenAI
    else:
        made = anthropic.AsyncAnthropic if asynchronous else anthropic.Anthropic
    return made(base_url=url, api_key="any", max_retries=0)


async def _async_until_last(stream: AsyncIterator[Any]) -> None:
    async for event in stream:
        if getattr(event, "type", "") in ("message_stop", "response.completed"):
            break


def _sync_turns(loop: _Loop, turns: int) -> list[str]:
    sessions = []
    with _client(loop.url, asynchronous=False) as client:
        for _ in range(turns):
            session, calls, headers = loop.turn()
            for each in calls:
                with loop.make(client)(**each, extra_headers=headers) as stream:
                    loop.until_last(stream)
            sessions.append(session)
    return sessions


async def _async_turns(loop: _Loop, turns: int) -> list[str]:
    sessions = []
    async with _client(loop.url, asynchronous=True) as client:
        for _ in range(turns):
            session, calls, headers = loop.turn()
            for each in calls:
                async with await loop.make(client)(**each, extra_headers=headers) as stream:
                    await _async_until_last(stream)
            sessions.append(session)
    return sessions


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("api", APIS)
async def test_no_run_of_an_sdks_loop_is_interrupted(
    gateway: GatewayProcess, provider: Scripted, api: str, asynchronous: bool
) -> None:
    """200 calls, two a turn: each turn is one finished run with its tool's result and its words."""
    loop = _Loop(gateway, provider, api)
    turns = CALLS // 2 // TURNS_AT_ONCE
    if asynchronous:
        running = [_async_turns(loop, turns) for _ in range(TURNS_AT_ONCE)]
    else:
        running = [asyncio.to_thread(_sync_turns, loop, turns) for _ in range(TURNS_AT_ONCE)]
    sessions = [session for made in await asyncio.gather(*running) for session in made]

    assert len(sessions) == CALLS // 2
    for session in sessions:
        kept = await look(gateway.at, session)
        assert [run["outcome"] for run in kept["runs"]] == ["finished"]
        (tool,) = [p for p in kept["messages"][-1]["parts"] if p["type"] == "tool-weather"]
        assert (tool["state"], said(kept)) == ("output-available", "All said.")
