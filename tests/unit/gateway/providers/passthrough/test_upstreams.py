"""Addresses and keys of the providers that the proxy reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from midstream.errors import SettingsError
from midstream.providers.configured import known_upstreams, open_upstreams
from midstream.settings.providers import ProviderSettings
from midstream.settings.sections import ServerSettings, Settings

if TYPE_CHECKING:
    from midstream.providers.passthrough.upstreams import Upstream

pytestmark = pytest.mark.anyio


def found(name: str, settings: Settings | None = None, **environment: str) -> Upstream | None:
    """Look a provider up."""
    return known_upstreams(settings or Settings(), environment).get(name)


@pytest.mark.parametrize(
    ("name", "path", "url"),
    [
        ("openai", "v1/responses", "https://api.openai.com/v1/responses"),
        ("openai", "responses", "https://api.openai.com/v1/responses"),
        ("openai-chat", "v1/x", "https://api.openai.com/v1/x"),
        ("anthropic", "v1/messages", "https://api.anthropic.com/v1/messages"),
        ("groq", "v1/chat/completions", "https://groq.example/openai/v1/chat/completions"),
    ],
)
async def test_address_is_the_one_that_the_sdk_would_ask(name: str, path: str, url: str) -> None:
    """Whether its base URL was given with `v1` or without."""
    groq = ProviderSettings(kind="openai-chat", base_url="https://groq.example/openai/v1/")
    upstream = found(name, Settings(providers={"groq": groq}))

    assert upstream is not None
    assert upstream.url(path, "") == url
    assert upstream.url(path, "a=1") == f"{url}?a=1"


async def test_environment_says_where_the_sdk_looks_unless_it_says_here() -> None:
    """A machine whose backends are sent to this proxy is not sent round and round."""
    upstream = found("openai", OPENAI_BASE_URL="https://eu.example/v1")
    assert upstream is not None
    assert upstream.base_url == "https://eu.example/v1"

    at = Settings(server=ServerSettings(port=8123))
    for host in ("127.0.0.1", "localhost"):
        here = f"http://{host}:8123/proxy/openai/v1"
        upstream = found("openai", at, OPENAI_BASE_URL=here)
        assert upstream is not None
        assert upstream.base_url == "https://api.openai.com/v1"


async def test_simulated_provider_is_started_when_it_is_asked_for() -> None:
    """One for all of its APIs; nobody else is known."""
    async with open_upstreams(Settings()) as upstreams:
        chat, messages = [
            await upstreams.find(name) for name in ("simulator-openai-chat", "simulator")
        ]
        assert chat is not None
        assert messages is not None
        assert chat.base_url.rpartition("/openai/v1")[0] == messages.base_url[: -len("/anthropic")]
        assert await upstreams.find("nobody") is None


async def test_gateways_key_must_be_there_if_it_is_to_be_used() -> None:
    """The process does not start without it."""
    settings = Settings(providers={"openai": ProviderSettings(proxy_key="gateway")})
    with pytest.raises(SettingsError, match="OPENAI_API_KEY"):
        found("openai", settings)
    upstream = found("openai", settings, OPENAI_API_KEY="sk-1")
    assert upstream is not None
    sent = upstream.with_key(
        [(b"authorization", b"Bearer agent"), (b"x-api-key", b"k"), (b"a", b"b")]
    )
    assert sent == [(b"a", b"b"), (b"authorization", b"Bearer sk-1")]


async def test_address_says_whose_answers_are_read_as_a_compatible_servers() -> None:
    """Unless the settings do; its metadata goes by its name."""
    groq = ProviderSettings(kind="openai-chat", base_url="https://groq.example/v1")
    front = ProviderSettings(kind="openai-chat", base_url="https://a.example/v1", compatible=False)
    settings = Settings(providers={"groq": groq, "front": front})
    upstreams = [found(name, settings) for name in ("openai-chat", "groq", "front")]
    assert [upstream and upstream.compatible for upstream in upstreams] == [None, "groq", None]
