"""Makes a real Redis refuse commands, in each way that Redis can, and serve again."""

from __future__ import annotations

import shutil
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from tests.support.processes import free_port, wait_until
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    Refuse = Callable[["RefusingRedis"], AbstractContextManager[None]]

FILLERS: Final = 2_000
"""Keys that take long to load."""


class RefusingRedis(RedisServer):
    """A server whose refusals a test switches on and off.

    It keeps snapshots, so that a missing folder can simulate a full disk.
    """

    def __init__(self, folder: Path, *, cluster: bool = False) -> None:
        super().__init__(folder / "data")
        self.folder.mkdir()
        self.log = folder / "redis.log"
        self._cluster = cluster

    def options(self) -> list[str]:
        """See RedisServer."""
        return [
            *("--appendonly", "no", "--save", "3600 1000000"),
            *("--enable-protected-configs", "yes", "--enable-debug-command", "yes"),
            *("--cluster-enabled", "yes" if self._cluster else "no"),
            # Its default is the port and 10,000 more: often one of an outgoing connection.
            *("--cluster-port", str(free_port())),
        ]

    def do(self, *command: str | int) -> Any:
        """Run a command on the connection that is exempt from refusals."""
        return self.client.execute_command(*command)  # type: ignore[no-untyped-call]

    def cut(self) -> None:
        """Close all other connections, so that a change for new ones holds for all."""
        for kind in ("normal", "pubsub"):
            self.do("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    @contextmanager
    def without_its_folder(self) -> Iterator[None]:
        """Let snapshots fail, as on a full disk."""
        shutil.rmtree(self.folder)
        self._snapshot("err")
        try:
            yield
        finally:
            self.folder.mkdir()
            self.do("CONFIG", "SET", "dir", str(self.folder))
            self._snapshot("ok")

    def _snapshot(self, outcome: str) -> None:
        self.do("BGSAVE")
        wait_until(
            lambda: self.client.info("persistence")["rdb_last_bgsave_status"] == outcome,
            f"a snapshot that ends with {outcome}",
        )

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Run a script that does not end."""
        self.do("CONFIG", "SET", "busy-reply-threshold", 1)
        with self._apart("EVAL 'while true do end' 0"):
            wait_until(lambda: self._says("BUSY"), "it is busy")
            try:
                yield
            finally:
                self.do("SCRIPT", "KILL")

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Make it reload its data slowly, as after a restart."""
        with self.client.pipeline(transaction=False) as pipeline:
            for number in range(FILLERS):
                pipeline.set(f"filler-{number}", "x" * 1_500, ex=600)
            pipeline.execute()
        self.do("CONFIG", "SET", "loading-process-events-interval-bytes", 1024)
        self.do("CONFIG", "SET", "key-load-delay", 10_000)
        with self._apart("DEBUG RELOAD"):
            wait_until(lambda: self._says("LOADING"), "it is loading")
            try:
                yield
            finally:
                self.do("CONFIG", "SET", "key-load-delay", 0)

    def _says(self, word: str) -> bool:
        with socket.create_connection(("127.0.0.1", self.port)) as asking:
            asking.sendall(b"GET x\r\n")
            return asking.recv(1024).startswith(f"-{word} ".encode())

    @contextmanager
    def _apart(self, command: str) -> Iterator[None]:
        """Run a slow command, and wait for its answer at the end of the block."""
        with socket.create_connection(("127.0.0.1", self.port)) as apart:
            apart.sendall(f"{command}\r\n".encode())
            answered = threading.Thread(target=apart.recv, args=(1024,))
            answered.start()
            try:
                yield
            finally:
                answered.join()


def _set(*settings: tuple[str, str | int, str | int], cut: bool = False) -> Refuse:
    """Return a refusal made by settings: (name, value while refusing, value otherwise)."""

    @contextmanager
    def refuse(server: RefusingRedis) -> Iterator[None]:
        for name, refusing, _ in settings:
            server.do("CONFIG", "SET", name, refusing)
        if cut:
            server.cut()
        try:
            yield
        finally:
            for name, _, otherwise in settings:
                server.do("CONFIG", "SET", name, otherwise)

    return refuse


@contextmanager
def _replica(server: RefusingRedis) -> Iterator[None]:
    server.do("REPLICAOF", "127.0.0.1", 1)
    try:
        yield
    finally:
        server.do("REPLICAOF", "NO", "ONE")


@contextmanager
def _lost_replica(server: RefusingRedis) -> Iterator[None]:
    with _replica(server), _set(("replica-serve-stale-data", "no", "yes"))(server):
        yield


@contextmanager
def _no_permission(server: RefusingRedis) -> Iterator[None]:
    server.do("ACL", "SETUSER", "default", "-evalsha")
    try:
        yield
    finally:
        server.do("ACL", "SETUSER", "default", "+@all")


REFUSALS: Final[dict[str, Refuse]] = {
    "NOREPLICAS": _set(("min-replicas-to-write", 1, 0)),
    "OOM": _set(("maxmemory", 1, 0)),
    "READONLY": _replica,
    "MASTERDOWN": _lost_replica,
    "MISCONF": RefusingRedis.without_its_folder,
    "NOAUTH": _set(("requirepass", "secret", ""), cut=True),
    "NOPERM": _no_permission,
    "max number of clients": _set(("maxclients", 1, 1_000), cut=True),
    "BUSY": RefusingRedis.busy,
    "LOADING": RefusingRedis.loading,
}
"""First word of Redis's error -> the refusal."""
