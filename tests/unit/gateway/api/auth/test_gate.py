"""Host and origin: which pages may call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from midstream.api.auth.gate import LOCAL_PAGES, PROBES, page_origins, served_hosts
from midstream.errors import ForbiddenError
from midstream.settings.sections import AuthSettings, ServerSettings, Settings
from tests.unit.gateway.api.fakes import BODY, FakeSessions, http_scope, make_app, request

if TYPE_CHECKING:
    from midstream.api.every_response import EveryResponse

pytestmark = pytest.mark.anyio

SERVER = ServerSettings(cors_origins=("https://app.example", "http://localhost:*"))


@pytest.fixture
def on_loopback() -> EveryResponse:
    """An application with its pages, for names of this machine. Reads files, as at a start."""
    hosts = ("localhost", "127.0.0.1", "::1")
    app: EveryResponse = make_app(FakeSessions(), server=ServerSettings(demo=True), hosts=hosts)
    return app


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 200),
        ("http://127.0.0.1:8000", 200),
        ("https://app.example", 200),
        ("http://localhost:3000", 200),
        ("https://evil.example", 403),
        ("https://app.example.evil.example", 403),
        ("http://127.0.0.1:9999", 403),
        ("null", 403),
    ],
)
async def test_page_may_post_only_from_an_allowed_origin(origin: str | None, status: int) -> None:
    """A browser sends `text/plain` from any page without asking, so the origin is checked."""
    headers = {"content-type": "text/plain"} | ({} if origin is None else {"origin": origin})
    sessions = FakeSessions()
    app = make_app(sessions, server=SERVER)
    answer = await request(app, "POST", "/api/chat", BODY, headers)
    assert answer.status == status
    assert len(sessions.called("start")) == (status == 200)


async def test_page_may_read_only_from_an_allowed_origin() -> None:
    """A GET is answered; the browser shows it to allowed pages only, headers too."""
    app = make_app(FakeSessions(), server=SERVER)
    allowed = await request(app, "GET", "/api/chats", headers={"origin": "https://app.example"})
    other = await request(app, "GET", "/api/chats", headers={"origin": "https://evil.example"})
    assert allowed.headers["access-control-allow-origin"] == "https://app.example"
    assert "x-midstream-run-id" in allowed.headers["access-control-expose-headers"].lower()
    assert "access-control-allow-origin" not in other.headers


async def test_preflight_is_answered_for_allowed_origins_only() -> None:
    """Without a token: a browser sends none with it."""
    app = make_app(FakeSessions(), server=SERVER)
    asked = {"access-control-request-method": "POST"}
    for origin, status in (("https://app.example", 204), ("https://evil.example", 400)):
        answer = await request(app, "OPTIONS", "/api/chat", headers={"origin": origin, **asked})
        assert answer.status == status


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:8000", 200), ("127.0.0.1", 200), ("[::1]:8000", 200), ("rebound.example", 403)],
)
async def test_host_name_that_is_not_served_is_refused(
    on_loopback: EveryResponse, host: str, status: int
) -> None:
    """A page that rebinds its name to this machine is of the same origin, but names itself."""
    for target in ("/api/chats", "/metrics", "/schema", "/"):
        assert (await request(on_loopback, "GET", target, headers={"host": host})).status == status
    for probe in PROBES:
        assert (await request(on_loopback, "GET", probe, headers={"host": host})).status == 200


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/nowhere"),
        ("HEAD", "/nowhere"),
        ("GET", "/assets/nothing.js"),
        ("GET", "/robots.txt"),
        ("GET", "/midstream-chat.tgz"),
        ("GET", "/s/c1"),
        ("POST", "/api/chat"),
        ("OPTIONS", "/api/chat"),
        ("DELETE", "/metrics"),
        ("POST", "/api/agent/runs"),
        ("POST", "/proxy/openai/v1/responses"),
        ("POST", "/proxy/nobody/v1"),
        ("GET", "/livez/more"),
    ],
)
async def test_no_address_answers_to_a_host_name_that_is_not_served(
    on_loopback: EveryResponse, method: str, target: str
) -> None:
    """One that does not exist neither, nor a method that it does not know."""
    headers = {"host": "rebound.example", "accept": "text/html", "origin": "http://127.0.0.1:8000"}
    answer = await request(on_loopback, method, target, headers=headers)
    assert answer.status == 403
    if not target.startswith("/proxy/"):
        assert answer.headers["cache-control"] == "no-store"
    if method != "HEAD":
        assert b"allowed_hosts" in answer.body


@pytest.mark.parametrize("target", ["/api/chat", "/nowhere", "/proxy/openai/v1/realtime"])
async def test_socket_for_a_host_name_that_is_not_served_is_closed(
    on_loopback: EveryResponse, target: str
) -> None:
    """With a code that the page can see, at every address."""
    sent: list[Any] = []
    scope = http_scope("GET", target, {"host": "rebound.example"})
    scope |= {"type": "websocket", "scheme": "ws", "subprotocols": []}

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await on_loopback(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    assert (sent[1]["code"], sent[1]["reason"]) == (ForbiddenError.ws_close_code, "forbidden")


COOKIE = AuthSettings(mode="jwt", cookie="session")


@pytest.mark.parametrize(
    ("settings", "origins"),
    [
        (Settings(), LOCAL_PAGES),
        (Settings(auth=AuthSettings(mode="jwt")), LOCAL_PAGES),
        (Settings(auth=COOKIE), ()),
        (Settings(server=ServerSettings(host="192.0.2.1")), ()),
        (Settings(server=ServerSettings(insecure=True)), ()),
        (Settings(auth=COOKIE, server=ServerSettings(cors_origins=("https://a",))), ("https://a",)),
        (Settings(server=ServerSettings(cors_origins=())), ()),
    ],
)
def test_pages_of_this_machine_may_call_only_while_nobody_else_is_served(
    settings: Settings, origins: tuple[str, ...]
) -> None:
    """With a cookie a browser would send it along, whatever program serves the page."""
    assert page_origins(settings) == origins


def test_hosts_are_loopback_names_only_while_anybody_could_call() -> None:
    """With tokens, or on another address, the name does not matter, unless it is configured."""
    assert "localhost" in served_hosts(Settings())
    assert served_hosts(Settings(auth=AuthSettings(mode="jwt"))) == ()
    assert served_hosts(Settings(server=ServerSettings(host="0.0.0.0", insecure=True))) == ()  # noqa: S104
    configured = ServerSettings(allowed_hosts=("chat.example",))
    assert served_hosts(Settings(server=configured)) == ("chat.example",)
