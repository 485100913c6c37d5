"""Callers of a gateway that asks for tokens and agent keys: people, and programs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Literal

import jwt
from msgspec import Struct

from midstream.settings.agents import AgentSettings
from midstream.settings.limits import LimitSettings
from midstream.settings.sections import (
    AgentKeySettings,
    AuthSettings,
    RedisSettings,
    ServerSettings,
    Settings,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET: Final = "a-secret-of-these-tests-long-enough-for-any-hash-of-ours"  # noqa: S105

TENANT: Final = "a"
OWNER: Final = "ann"
WRITER: Final = "poet"
"""The agent whose runs are pushed."""

KEYS: Final[dict[str, AgentKeySettings]] = {
    "a-any": AgentKeySettings(key_env="KEY_A_ANY", tenant="a"),
    "a-owner": AgentKeySettings(key_env="KEY_A_OWNER", tenant="a", users="owner"),
    "a-poet": AgentKeySettings(key_env="KEY_A_POET", tenant="a", agents=(WRITER,)),
    "a-other": AgentKeySettings(key_env="KEY_A_OTHER", tenant="a", agents=("prose",)),
    "b-any": AgentKeySettings(key_env="KEY_B_ANY", tenant="b"),
    "none-any": AgentKeySettings(key_env="KEY_NONE_ANY"),
}


class Person(Struct, frozen=True):
    """The bearer of a token."""

    tenant: str
    user: str
    role: str = "user"
    granted: bool = False
    name: str = ""

    def headers(self, session: str = "") -> dict[str, str]:
        """Return their headers for a session."""
        claims: dict[str, object] = {"sub": self.user, "exp": time.time() + 600, "role": self.role}
        if self.tenant:
            claims["tenant"] = self.tenant
        if self.name:
            claims["name"] = self.name
        if self.granted:
            claims["sessions"] = [session]
        return {"authorization": f"Bearer {jwt.encode(claims, SECRET, 'HS256')}"}

    @property
    def crosses(self) -> bool:
        return self.role == "admin"

    @property
    def is_trusted(self) -> bool:
        return self.role in ("operator", "admin") or self.user == OWNER or self.granted


class Worker(Struct, frozen=True):
    """The holder of an agent key, and the user that it names."""

    key: str
    user: str | None

    def headers(self, session: str = "") -> dict[str, str]:
        """Return its headers."""
        named = {} if self.user is None else {"x-midstream-user": self.user}
        return {"x-midstream-key": f"key-{self.key}-of-these-tests", **named}

    @property
    def tenant(self) -> str:
        return KEYS[self.key].tenant

    @property
    def crosses(self) -> bool:
        return False

    @property
    def is_trusted(self) -> bool:
        return self.user in (OWNER, None)


def environment() -> Iterator[tuple[str, str]]:
    """Yield the environment variables that the settings name, with values."""
    yield "MIDSTREAM_AUTH_SECRET", SECRET
    for name, key in KEYS.items():
        yield key.key_env, f"key-{name}-of-these-tests"


def guarded_settings(redis_url: str, folder: Path) -> Settings:
    """Return the settings of a gateway with every optional feature."""
    return Settings(
        server=ServerSettings(demo=True, drain_limit_s=0.1),
        redis=RedisSettings(url=redis_url, data_dir=str(folder)),
        auth=AuthSettings(mode="jwt"),
        agent_keys=KEYS,
        # The tests send many requests, one for each rule.
        limits=LimitSettings(sends_per_minute=0, open_runs=0, open_streams=0, redis_wait_ms=5_000),
        agents={"assistant": AgentSettings(provider="simulator", model="sim-instant")},
    )


OF_NO_SESSION: Final[dict[str, Literal["anybody", "a person"]]] = {
    "GET /": "anybody",
    "GET /s/{chat_id:str}": "anybody",
    "GET /assets/{name:str}": "anybody",
    "GET /favicon.svg": "anybody",
    "GET /favicon.ico": "anybody",
    "GET /robots.txt": "anybody",
    "GET /midstream-chat.tgz": "anybody",
    "GET /livez": "anybody",
    "GET /readyz": "anybody",
    "GET /metrics": "anybody",
    "GET /schema": "anybody",
    "GET /schema/{path:str}": "anybody",
    "GET /schema/openapi.json": "anybody",
    "GET /api/agents": "a person",
    "GET /api/chats": "a person",
    # Whose they are is in test_users.py.
    "DELETE /api/users/{name:str}": "a person",
    "GET /api/users/{name:str}/export": "a person",
    "GET /api/desk": "a person",
    "GET /api/desk/events": "a person",
}
"""Routes without a session: they serve every caller, or every caller with a token."""
