"""Limits of agent keys, of tenants and of calls that pass through, over three gateways."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from midstream.settings.limits import AgentKeyLimitSettings, TenantLimitSettings
from midstream.settings.providers import ProviderSettings
from midstream.settings.sections import ServerSettings
from tests.support import callers
from tests.support.callers import Person, Worker
from tests.support.far_end import far_end
from tests.support.in_process import code_of
from tests.support.limited import Gateways, sent, told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from midstream.settings.sections import Settings
    from tests.support.far_end import FarEnd
    from tests.unit.gateway.api.fakes import Answer

pytestmark = pytest.mark.anyio

ANN, BOB = Person("a", "ann").headers(), Person("a", "bob").headers()
WORKER = Worker("a-any", "ann").headers()
OTHER = Worker("none-any", "ann").headers()
ANSWER = json.dumps(
    {
        "id": "c",
        "choices": [{"message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 60, "completion_tokens": 40, "total_tokens": 100},
    }
).encode()


@pytest.fixture
def settings(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with tokens and agent keys, under which nothing is limited."""
    for variable, value in callers.environment():
        monkeypatch.setenv(variable, value)
    guarded = callers.guarded_settings(redis_url, tmp_path)
    return replace(guarded, server=ServerSettings(drain_limit_s=0.1), agents={})


@pytest.fixture
async def provider() -> AsyncIterator[FarEnd]:
    """The far end of calls that pass through: it answers all of them the same."""
    head = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n"
    async with far_end() as served:

        async def answer() -> None:
            while True:
                arrived = await served.arrived.get()
                await arrived.answer(head + b"content-length: %d\r\n\r\n" % len(ANSWER), ANSWER)

        answering = asyncio.create_task(answer())
        yield served
        answering.cancel()


async def call(three: Gateways, chat: str, who: dict[str, str]) -> Answer:
    """Make a call that is shown in a session."""
    headers = {**who, "authorization": "Bearer sk-mine", "x-midstream-session": chat}
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    path = "/proxy/openai/v1/chat/completions"
    return await three.ask_as(headers, "POST", path, body, whole=True)


def statuses(answers: Iterable[Answer]) -> list[int]:
    return sorted(answer.status for answer in answers)


async def test_agent_key_is_limited_for_all_who_use_it_and_for_no_other(
    settings: Settings, provider: FarEnd
) -> None:
    """Its claims and its calls count together; a person's sends do not."""
    limited = replace(
        settings,
        agent_key_limits=AgentKeyLimitSettings(sends_per_minute=1, send_burst=3),
        providers={"openai": ProviderSettings(base_url=f"{provider.url}/v1")},
    )
    async with Gateways(limited) as three:
        three.agent.may_end.set()
        claim: dict[str, Any] = {"key": "job", "text": "Hi", "agent": "poet"}
        for each in ("c1", "c2"):
            made = await three.ask_as(WORKER, "POST", "/api/agent/runs", {**claim, "id": each})
            assert made.status == 200, made.body
        calls = await asyncio.gather(*(call(three, f"d{each}", WORKER) for each in range(6)))
        assert statuses(calls) in ([200] + [429] * 5, [200] * 2 + [429] * 4)
        refused = next(answer for answer in calls if answer.status == 429)
        assert code_of(refused.body) == "rate_limited"
        assert int(refused.headers["retry-after"]) > 0
        assert b"messages a minute are the limit here" in refused.body
        last = await three.ask_as(WORKER, "POST", "/api/agent/runs", {**claim, "id": "c3"})
        assert (last.status, told(last)["limit"]) == (429, "sends_per_minute")

        assert (await call(three, "e", OTHER)).status == 200
        assert (await three.ask_as(ANN, "POST", "/api/chat", sent("e1"))).status == 200


async def test_calls_that_pass_through_use_the_tokens_of_their_key(
    settings: Settings, provider: FarEnd
) -> None:
    """Tokens are counted from the provider's answer; at the limit, no call goes to the provider."""
    limited = replace(
        settings,
        agent_key_limits=AgentKeyLimitSettings(tokens_per_day=150),
        providers={"openai": ProviderSettings(base_url=f"{provider.url}/v1")},
    )
    async with Gateways(limited) as three:
        answers: list[Answer] = []
        # Until then, a call may come before the one ahead of it is counted.
        while not answers or b"150 tokens a day are the limit here: try" not in answers[-1].body:
            answers.append(await call(three, f"c{len(answers)}", WORKER))
        assert {answer.status for answer in answers} <= {200, 429}
        assert statuses(answers).count(200) == 2


async def test_tenant_is_limited_for_all_its_people_together(settings: Settings) -> None:
    """Each of them has a limit besides; another tenant has its own."""
    limited = replace(settings, tenant_limits=TenantLimitSettings(open_runs=4))
    async with Gateways(limited) as three:
        sends = (
            three.ask_as(who, "POST", "/api/chat", sent(f"{name}-{each}", agent="slow"))
            for each in range(4)
            for name, who in (("ann", ANN), ("bob", BOB))
        )
        answers = await asyncio.gather(*sends)
        assert statuses(answers) in ([200] * 4 + [429] * 4, [200] * 5 + [429] * 3)
        refused = next(answer for answer in answers if answer.status == 429)
        assert told(refused)["limit"] == "open_runs"
        assert told(refused)["message"].startswith("unable to take this now; 4 answers")
        claim = {"id": "w", "key": "job", "text": "Hi", "agent": "poet"}
        assert (await three.ask_as(WORKER, "POST", "/api/agent/runs", claim)).status == 429
        theirs = Person("b", "ann").headers()
        assert (await three.ask_as(theirs, "POST", "/api/chat", sent("b1"))).status == 200
