"""Which server is behind the URL, and whether sessions are well kept there.

It is read from INFO, which clouds allow where they do not allow CONFIG. A server that refuses INFO
is used all the same: nothing is known of it then, and nothing is held against it.
"""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING, Final

from msgspec import Struct, to_builtins

from midstream.errors import StoreUnavailableError
from midstream.telemetry import quoted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

logger = logging.getLogger(__name__)

SAFE_POLICY: Final = "noeviction"

FRESH_S: Final = 10.0
"""How long it is believed: a name may lead to another server by then, or a setting be changed."""


class ServerFacts(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a server says of itself; a field is empty if it does not.

    Attributes:
        server: `redis`, `valkey`, or what else calls itself so.
        mode: `standalone`, `cluster` or `sentinel`.
        role: `primary`, `replica` or `sentinel`.
        maxmemory_policy: what it deletes when its memory is full.
        persistence: `aof`, `snapshots` or `none`: how it keeps its data over a restart.
        elsewhere: where writes are taken, of a replica or a Sentinel: `HOST:PORT`.
    """

    server: str = ""
    version: str = ""
    mode: str = ""
    role: str = ""
    maxmemory_policy: str = ""
    persistence: str = ""
    elsewhere: str = ""

    @property
    def named(self) -> dict[str, str]:
        """What is known, for people to read."""
        facts: dict[str, str] = to_builtins(self)
        return {name: value for name, value in facts.items() if value}

    @property
    def refusal(self) -> str | None:
        """Why the gateway cannot be used with it, and what to set; None if it can."""
        instead = f", redis://{self.elsewhere}" if self.elsewhere else ""
        if self.mode == "sentinel":
            return (
                f"it is a Sentinel. Set REDIS_URL to the primary that it watches{instead}, or to "
                "a name that follows it"
            )
        if self.mode == "cluster":
            return (
                "it is one node of a cluster, and sessions are kept on one server. Set REDIS_URL "
                "to a Redis whose cluster mode is off"
            )
        if self.role == "replica":
            return (
                f"it is a replica, which takes no writes. Set REDIS_URL to its primary{instead}, "
                "or to a name that follows it"
            )
        return None

    @property
    def warnings(self) -> list[str]:
        """What may cost sessions there, and what to set."""
        found = []
        if self.maxmemory_policy not in ("", SAFE_POLICY):
            found.append(
                f"maxmemory-policy is {self.maxmemory_policy}: a Redis that is full deletes parts "
                f"of sessions. Set it to {SAFE_POLICY}"
            )
        if self.persistence == "none":
            found.append(
                "nothing is written to disk: sessions end with a restart of Redis. Set "
                "appendonly to yes"
            )
        elif self.persistence == "snapshots":
            found.append(
                "no append-only file is written: a crash of Redis costs what came after its last "
                "snapshot. Set appendonly to yes"
            )
        return found


UNKNOWN: Final = ServerFacts()
"""Of a server that refuses INFO."""


class KnownServer:
    """The server behind a URL, asked again when what is known of it is old.

    Args:
        now: returns the time in seconds.
    """

    def __init__(
        self,
        describe: Callable[[], Awaitable[ServerFacts]],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._describe = describe
        self._now = now
        self._facts = UNKNOWN
        self._old_at = now()

    async def facts(self) -> ServerFacts:
        """Return what the server says of itself.

        Raises:
            StoreUnavailableError: it was asked, and cannot be reached.
        """
        now = self._now()
        if now >= self._old_at:
            self._facts = await self._describe()
            self._old_at = now + FRESH_S
        return self._facts


async def log_server(server: KnownServer) -> None:
    """Say at the start what is there, what is wrong with it, and what may cost sessions."""
    try:
        facts = await server.facts()
    except StoreUnavailableError:
        return  # the client has logged why, and /readyz goes on asking
    logger.info("redis_found %s", quoted(**facts.named))
    if facts.refusal is not None:
        logger.error("redis_unusable reason=%s", facts.refusal)
    for warning in facts.warnings:
        logger.warning("redis_risk reason=%s", warning)


def read_info(info: bytes, save: bytes | None = None) -> ServerFacts:
    """Read the reply to INFO.

    Args:
        save: the setting of that name, where CONFIG GET is allowed: when snapshots are taken.
    """
    lines = info.decode("utf-8", "replace").splitlines()
    said = {name: value for name, _, value in (line.partition(":") for line in lines)}
    mode = said.get("redis_mode", "")
    return ServerFacts(
        server="valkey" if "valkey_version" in said else said.get("server_name", "redis"),
        version=said.get("valkey_version") or said.get("redis_version", ""),
        mode=mode,
        role=_role(mode, said.get("role", "")),
        maxmemory_policy=said.get("maxmemory_policy", ""),
        persistence=_persistence(said, save),
        elsewhere=_elsewhere(said),
    )


def _role(mode: str, role: str) -> str:
    if mode == "sentinel":
        return "sentinel"
    return {"master": "primary", "slave": "replica"}.get(role, role)


def _persistence(said: Mapping[str, str], save: bytes | None) -> str:
    if said.get("aof_enabled") == "1":
        return "aof"
    if "aof_enabled" not in said or save is None:
        return ""  # a cloud may keep copies that INFO does not tell of
    return "snapshots" if save else "none"


_WATCHED: Final = re.compile(r"\baddress=([^,]+)")


def _elsewhere(said: Mapping[str, str]) -> str:
    if "master_host" in said:
        return f"{said['master_host']}:{said.get('master_port', '6379')}"
    watched = _WATCHED.search(said.get("master0", ""))
    return watched[1] if watched else ""
