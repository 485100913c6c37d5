"""The API of a gateway: whole while it is open, and none before and after."""

from __future__ import annotations

import pytest

from midstream.api.context import CurrentApi
from midstream.errors import DrainingError
from tests.unit.gateway.api.fakes import BODY, FakeSessions, make_api, make_app, request

pytestmark = pytest.mark.anyio

NEEDS_THE_API: tuple[tuple[str, str, object], ...] = (
    ("GET", "/api/chat/c1", None),
    ("POST", "/api/chat", BODY),
    ("GET", "/api/chat/c1/stream", None),
    ("GET", "/api/chat/c1/events", None),
    ("GET", "/api/chat?follow=c1@", None),
    ("GET", "/api/chats", None),
    ("GET", "/api/agents", None),
    ("POST", "/api/agent/runs", {"id": "c1", "key": "k"}),
    ("POST", "/api/agent/turns/c1/k/end", None),
    ("POST", "/proxy/openai/v1/responses", {}),
    ("GET", "/readyz", None),
)


async def test_gateway_that_is_not_open_refuses_what_needs_it_as_temporary(
    subtests: pytest.Subtests,
) -> None:
    """A client tries again; nothing fails for the lack of a part."""
    app = make_app(FakeSessions(), is_open=False)
    for method, target, body in NEEDS_THE_API:
        with subtests.test(f"{method} {target}"):
            answer = await request(app, method, target, body)
            assert (answer.status, answer.error) == (503, "draining")


async def test_gateway_that_is_not_open_says_that_it_lives() -> None:
    """An orchestrator must not restart the process for that."""
    app = make_app(FakeSessions(), is_open=False)
    assert (await request(app, "GET", "/livez")).status == 200


async def test_api_is_there_while_it_is_served_and_only_then() -> None:
    """Also after an exception."""
    current, api = CurrentApi(), make_api(FakeSessions())
    with pytest.raises(ValueError), current.serve(api):
        assert current.get() is api
        raise ValueError
    assert not current.is_open
    with pytest.raises(DrainingError):
        current.get()


async def test_gateway_that_drains_takes_no_new_work_and_answers_what_is_under_way() -> None:
    """Until it is closed; one that is opened again takes some."""
    current, api = CurrentApi(), make_api(FakeSessions())
    with current.serve(api):
        await current.drain(0.1)
        assert current.get() is api
        with pytest.raises(DrainingError):
            current.for_new_work()
    with current.serve(api):
        assert current.for_new_work() is api
