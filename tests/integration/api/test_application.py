"""The gateway as an ASGI application of somebody else's process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from midstream import Agent, Gateway, Run, create_app
from midstream.settings.sections import RedisSettings, Settings
from tests.unit.gateway.api.fakes import data_lines, request

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.anyio

BODY: Mapping[str, object] = {
    "id": "c1",
    "messages": [{"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}],
}


async def greet(run: Run) -> None:
    await run.text(f"Hello, {run.messages[-1].text}.")


@pytest.fixture
def gateway(redis_url: str) -> Gateway:
    settings = Settings(redis=RedisSettings(url=redis_url))
    return create_app(settings, agents=[Agent("greeter", greet)])


async def test_application_answers_with_the_agent_that_it_was_given(gateway: Gateway) -> None:
    """Nothing is configured; the list of agents has it, and nothing else."""
    headers = {"host": "localhost"}
    async with gateway.open():
        answer = await request(gateway, "POST", "/api/chat", BODY, headers)
        offered = await request(gateway, "GET", "/api/agents", headers=headers)
    assert answer.status == 200
    assert b"Hello, Hi." in answer.body
    assert data_lines(answer.body)[-1] == "[DONE]"
    assert [agent["name"] for agent in offered.json()["agents"]] == ["greeter"]


async def test_application_that_is_not_open_says_so_and_its_log_says_what_to_do(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    """A mounted application gets no lifespan: the outer one has to hold it open."""
    for _ in range(2):
        answer = await request(gateway, "POST", "/api/chat", BODY, {"host": "localhost"})
        assert (answer.status, answer.error) == (503, "draining")
    assert caplog.text.count("gateway_not_open") == 1
    assert "gateway.open()" in caplog.text


async def test_application_may_be_opened_again_but_not_twice(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    """Each time it is ready; once it was open, being closed is nobody's mistake."""
    for _ in range(2):
        async with gateway.open():
            assert (await request(gateway, "GET", "/readyz")).status == 200
            with pytest.raises(RuntimeError, match="open"):
                async with gateway.open():
                    pass
            assert (await request(gateway, "GET", "/readyz")).status == 200
        assert (await request(gateway, "GET", "/readyz")).status == 503
    assert "gateway_not_open" not in caplog.text


@pytest.mark.parametrize(
    ("root", "path"),
    [
        ("/ai", "/ai/api/agents"),
        ("/ai/", "/ai/api/agents"),
        ("/api", "/api/api/agents"),
        ("/agents", "/agents/api/agents"),
        # A proxy that has taken the prefix away itself.
        ("/agents", "/api/agents"),
    ],
)
async def test_path_below_the_root_is_the_gateways_whatever_it_looks_like(
    root: str, path: str, gateway: Gateway
) -> None:
    """The root is taken away once, from the front."""

    async def mounted(scope: dict[str, object], receive: object, send: object) -> None:
        await gateway({**scope, "root_path": root}, receive, send)

    async with gateway.open():
        answer = await request(mounted, "GET", path, headers={"host": "localhost"})
    assert answer.status == 200, answer.body
    assert msgspec.json.decode(answer.body)["agents"]
