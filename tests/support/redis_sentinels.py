"""Three real Sentinels over a primary and two replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.processes import ChildProcess, free_port, wait_until
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.redis_kinds import Kind
    from tests.support.tls_doors import TlsDoors

NAME: Final = "mine"
"""Name of the primary, for the Sentinels and their clients."""
NO_DELAY: Final = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
"""Otherwise a replica is empty for five seconds, also when it is promoted."""
SENTINELS: Final = 3
REPLICAS: Final = 2
DOWN_AFTER_MS: Final = 3_000
UP_LIMIT_S: Final = 60.0


class Replicated(RedisServer):
    """A server that may follow another one."""

    def __init__(
        self,
        folder: Path,
        kind: Kind,
        of: RedisServer | None = None,
        doors: TlsDoors | None = None,
    ) -> None:
        folder.mkdir()
        super().__init__(folder, program=kind.program, doors=doors)
        self._of = of

    def options(self) -> list[str]:
        """See RedisServer."""
        following = ("--replicaof", "127.0.0.1", str(self._of.port)) if self._of else ()
        announced = ("--replica-announce-port", str(self.port))
        return [*super().options(), *NO_DELAY, *announced, *following]

    @property
    def role(self) -> str:
        """`master` or `slave`."""
        return str(self.client.info("replication")["role"])

    @property
    def is_up_to_date(self) -> bool:
        """Whether it follows a primary, and has its data."""
        said = self.client.info("replication")
        return (said["role"], said.get("master_link_status")) == ("slave", "up")


class Sentinel:
    """One Sentinel."""

    def __init__(
        self,
        folder: Path,
        kind: Kind,
        watched: RedisServer,
        down_after_ms: int = DOWN_AFTER_MS,
        doors: TlsDoors | None = None,
    ) -> None:
        folder.mkdir()
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        config = folder / "sentinel.conf"
        config.write_text(
            f"port {doors.before(self.port) if doors else self.port}\nbind 127.0.0.1\n"
            f"sentinel announce-ip 127.0.0.1\nsentinel announce-port {self.port}\n"
            f"sentinel monitor {NAME} 127.0.0.1 {watched.port} 2\n"
            f"sentinel down-after-milliseconds {NAME} {down_after_ms}\n"
            f"sentinel failover-timeout {NAME} 10000\n"
        )
        command = [kind.program, str(config), "--sentinel"]
        self.process = ChildProcess("sentinel", command, folder / "sentinel.log")
        self.client: redis.Redis = redis.Redis(
            port=self.port, socket_timeout=20, retry=Retry(NoBackoff(), 0)
        )
        self.process.wait_ready(self._answers)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def do(self, *command: str | int) -> Any:
        """Run a command."""
        return self.client.execute_command(*command)  # type: ignore[no-untyped-call]

    def primary_port(self) -> int:
        """Return where this Sentinel says that the primary is."""
        return int(self.do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)[1])

    def knows_all(self) -> bool:
        """Whether it has found the replicas and the other Sentinels."""
        said: Any = self.client.sentinel_master(NAME)
        return (
            int(said["num-slaves"]) == REPLICAS
            and int(said["num-other-sentinels"]) == SENTINELS - 1
        )


class Sentinels:
    """A primary, two replicas and three Sentinels; up when made.

    Args:
        down_after_ms: how long the primary must be silent before it is replaced.
        doors: before all servers and Sentinels.

    Attributes:
        servers: the first one was the primary at first.
    """

    def __init__(
        self,
        folder: Path,
        kind: Kind,
        down_after_ms: int = DOWN_AFTER_MS,
        doors: TlsDoors | None = None,
    ) -> None:
        self._down_after_ms = down_after_ms
        self._doors = doors
        self.servers: list[Replicated] = []
        self.sentinels: list[Sentinel] = []
        try:
            self._start(folder, kind)
        except BaseException:
            self.end()
            raise

    def _start(self, folder: Path, kind: Kind) -> None:
        primary = Replicated(folder / "primary", kind, doors=self._doors)
        self.servers.append(primary)
        primary.start()
        for i in range(REPLICAS):
            replica = Replicated(folder / f"replica-{i}", kind, primary, self._doors)
            self.servers.append(replica)
            replica.start()
        for replica in self.servers[1:]:
            wait_until(lambda r=replica: r.is_up_to_date, "a replica follows", UP_LIMIT_S)  # type: ignore[misc]
        for i in range(SENTINELS):
            at = folder / f"sentinel-{i}"
            made = Sentinel(at, kind, primary, self._down_after_ms, self._doors)
            self.sentinels.append(made)
        wait_until(lambda: all(s.knows_all() for s in self.sentinels), "all know all", UP_LIMIT_S)

    @property
    def url(self) -> str:
        """The URL of a gateway."""
        ports = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{ports}/{NAME}"

    @property
    def primary(self) -> Replicated:
        """The primary, as most Sentinels say."""
        said = [sentinel.primary_port() for sentinel in self.sentinels]
        port = max(said, key=said.count)
        return next(server for server in self.servers if server.port == port)

    def kill_primary(self) -> Replicated:
        """Kill the primary; return the one that takes its place, once all Sentinels name it."""
        lost = self.primary
        lost.kill()
        return self.wait_replaced(lost)

    def failover(self) -> Replicated:
        """Fail over as for planned work; return the new primary, once all Sentinels name it."""
        before = self.primary

        def begun() -> bool:
            try:
                self.sentinels[0].do("SENTINEL", "FAILOVER", NAME)
            except redis.ResponseError as error:
                # Of no replica it has heard lately.
                assert "NOGOODSLAVE" in str(error), error
                return False
            return True

        wait_until(begun, "a failover begins", UP_LIMIT_S)
        return self.wait_replaced(before)

    def wait_replaced(self, before: Replicated) -> Replicated:
        """Return the primary that takes the place of one, once all Sentinels name it."""

        def agreed() -> bool:
            ports = {sentinel.primary_port() for sentinel in self.sentinels}
            return len(ports) == 1 and before.port not in ports and self.primary.role == "master"

        wait_until(agreed, "the Sentinels agree on a new primary", UP_LIMIT_S)
        return self.primary

    def end(self) -> None:
        """End all of them; the Sentinels first, so that they do nothing about it."""
        for sentinel in self.sentinels:
            sentinel.process.kill()
            sentinel.client.close()
        for server in self.servers:
            server.end()
