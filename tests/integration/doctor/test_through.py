"""What is said of a real nginx before a gateway, set up well and badly."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from midstream.doctor.through import examine_through
from tests.support.fixtures import start_deployment
from tests.support.nginx import UPGRADE, Nginx, nginx_program
from tests.support.processes import free_port
from tests.support.verdicts import bad

if TYPE_CHECKING:
    from collections.abc import Iterator

    from midstream.store.server.verdict import Verdict
    from tests.support.fixtures import Deployment
    from tests.support.gateway import Settings
    from tests.support.simulator import Simulator

pytestmark = pytest.mark.anyio

HOLD_S: Final = 8.0
SETTINGS: Final[Settings] = {"server": {"heartbeat_interval_s": 3.0}}
MAX_BODY_BYTES: Final = 8 * 1024 * 1024

BIG: Final = "client_max_body_size 8m;"
IGNORES: Final = "proxy_ignore_headers x-accel-buffering;"
SET_UPS: Final = {
    "good": f"{UPGRADE} {BIG}",
    "as installed": "",
    # Nothing is held back: the gateway answers in chunks, and nginx passes each one on.
    "buffers": f"{BIG} proxy_http_version 1.0; proxy_buffering on; {IGNORES}",
    "compresses": f"{UPGRADE} {BIG} gzip on; gzip_proxied any; gzip_types *; {IGNORES}",
    "impatient": f"{UPGRADE} {BIG} proxy_read_timeout 2s;",
    "short heads": f"{UPGRADE} {BIG} large_client_header_buffers 4 2k;",
    "elsewhere": "return 502;",
    "redirects": "return 301 https://chat.example.com$request_uri;",
    "hides the API": f"{UPGRADE} {BIG} location /api/chat {{ return 404; }}",
}

FOUND: Final[dict[str, dict[str, str]]] = {
    "good": {},
    "as installed": {"bodies": "danger", "websocket": "danger"},
    "buffers": {"websocket": "danger"},
    "compresses": {"streams": "fault"},
    "impatient": {"idle": "danger", "websocket": "danger"},
    "short heads": {"heads": "danger", "addresses": "danger"},
    "elsewhere": {"gateway": "fault"},
    "redirects": {"gateway": "fault"},
    "hides the API": {"streams": "fault", "bodies": "danger", "websocket": "danger"},
}
"""What is dangerous or at fault in each."""

WORDS: Final = {
    ("as installed", "bodies"): "client_max_body_size",
    ("as installed", "websocket"): "upgrade",
    ("compresses", "streams"): "text/event-stream",
    ("impatient", "idle"): "proxy_read_timeout",
    ("short heads", "heads"): "large_client_header_buffers",
    ("redirects", "gateway"): "https://chat.example.com",
}
"""What is told to set, or where it leads."""


@pytest.fixture(scope="module")
def gateway(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One gateway."""
    with ExitStack() as stack:
        made = start_deployment(simulator, tmp_path_factory.mktemp("doctor"), stack)
        made.add_gateway(SETTINGS)
        yield made


@pytest.fixture(scope="module")
def nginx(gateway: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """An nginx with all set-ups."""
    program = nginx_program()
    if program is None:
        pytest.skip("no nginx for this machine")
    folder = tmp_path_factory.mktemp("nginx") / "files"
    made = Nginx(program, folder, gateway.gateways[0].at.port, SET_UPS)
    yield made
    made.end()


async def found_through(url: str, token: str = "") -> dict[str, Verdict]:
    """Examine a proxy; return what was found, by subject."""
    found: dict[str, Verdict] = {}

    def tell(verdict: Verdict) -> None:
        assert verdict.subject not in found
        found[verdict.subject] = verdict

    await examine_through(url, tell, token=token, hold_s=HOLD_S, max_body_bytes=MAX_BODY_BYTES)
    return found


async def test_each_set_up_of_nginx_is_judged(
    nginx: Nginx, gateway: Deployment, subtests: pytest.Subtests
) -> None:
    """Its faults are found, each with what to set, and nothing else is called bad."""
    everything = await asyncio.gather(*map(found_through, nginx.urls.values()))
    for name, found in zip(nginx.urls, everything, strict=True):
        with subtests.test(name):
            assert bad(found) == FOUND[name]
            for (set_up, subject), word in WORDS.items():
                if set_up == name:
                    assert word in found[subject].text
    assert gateway.redis.client.keys("*doctor*") == []


async def test_gateway_without_a_proxy_is_fit_for_use(gateway: Deployment) -> None:
    """All of it passes, and is told."""
    found = await found_through(gateway.gateways[0].at.url)
    assert bad(found) == {}
    assert found.keys() == {
        *("gateway", "heads", "addresses", "bodies", "compression", "streams", "idle", "websocket"),
    }


async def test_address_without_a_gateway_is_a_fault() -> None:
    found = await found_through(f"http://127.0.0.1:{free_port()}")
    assert bad(found) == {"gateway": "fault"}


async def test_gateway_that_wants_a_token_is_tried_with_one(gateway: Deployment) -> None:
    """Without one it is said what was not tried."""
    secret = "a secret of at least thirty-two bytes"  # noqa: S105
    strict = gateway.add_gateway(
        {"auth": {"mode": "jwt"}, **SETTINGS}, environment={"MIDSTREAM_AUTH_SECRET": secret}
    )
    found = await found_through(strict.at.url)
    assert bad(found) == {}
    assert "--token" in found["streams"].do
    assert "--token" in found["websocket"].do

    found = await found_through(strict.at.url, token_of(secret))
    assert {subject for subject, verdict in found.items() if verdict.level != "ok"} == set()


def token_of(secret: str) -> str:
    """Return a caller's token."""
    import time

    import jwt

    claims = {"sub": "doctor", "exp": int(time.time()) + 600}
    return str(jwt.encode(claims, secret, algorithm="HS256"))
