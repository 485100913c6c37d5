"""Properties of every address: HEAD, caches, pages, and errors that stock clients can show."""

from __future__ import annotations

from typing import Any

import pytest

from midstream.aio.idle_timeout import IdleTimeout
from midstream.api.proxy.response import ProxyExchange
from midstream.api.streaming.exchange import Exchange
from midstream.errors import RunActiveError
from tests.unit.gateway.api.fakes import (
    BODY,
    FakeReader,
    FakeSessions,
    http_scope,
    make_app,
    request,
)

pytestmark = pytest.mark.anyio


REFUSED = RunActiveError("unable to send while an answer is being written; wait for it")


@pytest.mark.parametrize(
    "address",
    ["/livez", "/readyz", "/schema", "/api/chats", "/api/agents", "/robots.txt",
     "/favicon.ico", "/api/chat/c1", "/api/chat/c1/stream", "/nowhere"],
)  # fmt: skip
async def test_head_is_the_head_of_a_get(address: str) -> None:
    """The same status and headers, no body; a stream ends with its head."""
    apps = [make_app(FakeSessions({"snapshot": {}, "resume": FakeReader()})) for _ in range(2)]
    whole = await request(apps[0], "GET", address)
    head = await request(apps[1], "HEAD", address)

    assert (head.status, sorted(head.headers)) == (whole.status, sorted(whole.headers))
    assert (head.body, head.complete) == (b"", True)


@pytest.mark.parametrize(
    ("wrong", "address", "methods"),
    [
        ("POST", "/livez", "GET, HEAD, OPTIONS"),
        ("PUT", "/metrics", "GET, HEAD, OPTIONS"),
        ("PUT", "/api/chat", "GET, HEAD, OPTIONS, POST"),
        ("DELETE", "/api/chat/c1/stream", "GET, HEAD, OPTIONS"),
        ("POST", "/api/chat/c1", "DELETE, GET, HEAD, OPTIONS"),
        ("HEAD", "/api/chat/c1/stop", "OPTIONS, POST"),
    ],
)
async def test_address_says_which_methods_it_knows(wrong: str, address: str, methods: str) -> None:
    """For OPTIONS and for a wrong method; HEAD wherever GET is."""
    app = make_app(FakeSessions())
    asked = await request(app, "OPTIONS", address)
    refused = await request(app, wrong, address)

    assert (asked.status, asked.headers["allow"]) == (204, methods)
    assert (refused.status, refused.headers["allow"]) == (405, methods)


@pytest.mark.parametrize("address", ["/livez", "/api/agents", "/api/chats", "/nowhere"])
async def test_json_is_kept_by_no_cache(address: str) -> None:
    """Errors too."""
    answer = await request(make_app(FakeSessions()), "GET", address)
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["cache-control"] == "no-store"


async def test_person_at_an_unknown_address_sees_a_page_and_a_program_an_error() -> None:
    """By what they accept."""
    app = make_app(FakeSessions())
    page = await request(app, "GET", "/nowhere", headers={"accept": "text/html,*/*;q=0.8"})
    error = await request(app, "GET", "/nowhere", headers={"accept": "*/*"})

    assert (page.status, error.status) == (404, 404)
    assert page.headers["content-type"].startswith("text/html")
    assert b"<h1>" in page.body
    assert error.error == "not_found"


async def test_browser_finds_an_icon_and_a_crawler_its_rules() -> None:
    """Both ask every site for them."""
    app = make_app(FakeSessions())
    icon = await request(app, "GET", "/favicon.ico")
    robots = await request(app, "GET", "/robots.txt")

    assert (icon.status, icon.headers["content-type"]) == (200, "image/svg+xml")
    assert robots.body == b"User-agent: *\nDisallow: /\n"


@pytest.mark.parametrize(
    ("headers", "is_sentence"),
    [
        ({"sec-fetch-mode": "cors"}, False),  # a program in Node
        ({"origin": "http://127.0.0.1:8000", "accept": "*/*"}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"origin": "http://127.0.0.1:8000", "accept": "application/json"}, False),
        ({"sec-fetch-site": "same-origin", "accept": "text/event-stream, application/json"}, False),
    ],
)
@pytest.mark.parametrize(
    ("method", "address", "body"),
    [("POST", "/api/chat", BODY), ("GET", "/api/chat/c1/stream", None)],
)
async def test_page_of_a_stock_transport_gets_a_sentence(
    method: str, address: str, body: object, headers: dict[str, str], is_sentence: bool
) -> None:
    """The page shows the body as text; the code is in a header.

    A client that accepts JSON gets JSON.
    """
    app = make_app(FakeSessions({"start": REFUSED, "resume": REFUSED}))
    answer = await request(app, method, address, body, headers)

    assert answer.status == 409
    if is_sentence:
        assert answer.body.decode() == REFUSED.message
        assert answer.headers["x-midstream-error"] == "run_active"
    else:
        assert answer.error == "run_active"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([(b"Content-Type", b"text/event-stream; charset=utf-8")], b"no"),
        ([(b"content-type", b"text/event-stream"), (b"X-Accel-Buffering", b"yes")], b"yes"),
        ([(b"content-type", b"application/json")], None),
    ],
)
async def test_proxied_stream_is_not_buffered(
    given: list[tuple[bytes, bytes]], expected: bytes | None
) -> None:
    """By nginx and others in front of the gateway, unless the provider says otherwise."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    exchange = ProxyExchange(send, IdleTimeout(1))
    await exchange.start(200, given)
    exchange.close()
    names = {name.lower(): value for name, value in sent[0]["headers"]}

    assert names.get(b"x-accel-buffering") == expected
    assert len(names) == len(sent[0]["headers"])


class LeavingABody:
    """Routes that leave a body for later, and then fail or not."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.calls: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        exchange = Exchange.of(scope)
        assert exchange is not None
        exchange.body = self
        scope["state"]["routed"] = scope["path_template"] = "/"
        self.calls.append("routes")
        if self.error is not None:
            raise self.error

    async def write(self, receive: Any, send: Any) -> None:
        self.calls.append("write")

    async def leave(self) -> None:
        self.calls.append("leave")


async def nothing(*_: object) -> Any:
    """Serve as the server's `receive` and `send`, which are not used."""


async def test_body_that_is_left_for_later_is_written_once_the_routes_have_returned() -> None:
    """What they have added to the scope is gone then."""
    app, routes = make_app(FakeSessions()), LeavingABody()
    app.app = routes
    scope = {**http_scope("GET", "/"), "state": {}}

    body = await app.begin(scope, nothing, nothing)

    assert routes.calls == ["routes"]
    assert scope == {**http_scope("GET", "/"), "state": {}}
    await body
    assert routes.calls == ["routes", "write"]


async def test_body_is_let_go_of_when_the_routes_fail_after_it() -> None:
    """Nobody will write it."""
    app, routes = make_app(FakeSessions()), LeavingABody(ValueError("after"))
    app.app = routes
    with pytest.raises(ValueError, match="after"):
        await app(http_scope("GET", "/"), nothing, nothing)
    assert routes.calls == ["routes", "leave"]
