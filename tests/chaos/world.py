"""Three gateways over one Redis, each through a connection that can be cut."""

from __future__ import annotations

import asyncio
import glob
import os
import re
import time
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import redis

from tests.support.gateway import DEFAULT_LEASE, GatewayProcess, Settings, merged
from tests.support.processes import children, wait_until
from tests.support.proxy import FaultyProxy, faulty_proxy
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.simulator import Simulator
    from tests.support.wire import Endpoint

GATEWAYS: Final = 3
START_LIMIT_S: Final = 60.0

SETTINGS: Final[Settings] = {
    "server": {"drain_limit_s": 6, "heartbeat_interval_s": 3},
    "agents.assistant": {"on_interruption": "restart"},
    "agents.responses.provider_options": {"background": True},
}
"""`assistant` runs a cut step again, `responses` answers in the background, and runs of
`completions` are closed by the gateway that takes them over."""

TRACEBACK: Final = "Traceback (most recent call last)"


def _end_of(logged: str) -> str:
    """Return the last line of a traceback in a log line, without addresses."""
    return re.sub(r"0x[0-9a-f]+", "0x", logged.split("\\n")[-1])[:300]


class Gateway:
    """One gateway, which the driver may kill and restart."""

    def __init__(self, process: GatewayProcess, url: str) -> None:
        self.process = process
        self.url = url
        self.busy = False
        """Whether a fault holds it: it may be down."""
        self.deaths_caused = 0

    @property
    def workers(self) -> list[int]:
        """The ids of its worker processes."""
        return children(self.process.process.pid)

    def look_at_log(self) -> list[str]:
        """Return the log lines that must not occur."""
        log = self.process.process.output()
        ends = Counter(_end_of(line) for line in log.split("\n") if TRACEBACK in line)
        wrongs = [f"{count} tracebacks end with {end}" for end, count in ends.items()]
        deaths = log.count("worker_died")
        if deaths > self.deaths_caused:
            at = log.rindex("worker_died")
            wrongs.append(f"{deaths} workers died, {self.deaths_caused} killed: {log[:at][-600:]}")
        if self.process.process.exit_code is not None:
            wrongs.append(f"it has ended: {self.process.process.exit_code}: {log[-600:]}")
        return wrongs


class BreakableRedis(RedisServer):
    """A server that can be made to fail."""

    def options(self) -> list[str]:
        """See RedisServer."""
        debugging = ("--enable-protected-configs", "yes", "--enable-debug-command", "yes")
        return [*super().options(), *debugging]

    def fail_to_save(self) -> None:
        """Make a snapshot fail, if none has: then it refuses writes while snapshots are on."""
        info: Any = self.client.info("persistence")
        if info["rdb_last_bgsave_status"] == "err":
            return
        gone = self.folder / "gone"
        gone.mkdir(exist_ok=True)
        self.client.config_set("dir", str(gone))
        gone.rmdir()
        try:
            wait_until(self._has_failed_to_save, "a snapshot fails")
        finally:
            self.client.config_set("dir", str(self.folder))

    def _has_failed_to_save(self) -> bool:
        with suppress(redis.ResponseError):  # its file is being rewritten, or one is under way
            self.client.bgsave(schedule=False)
        info: Any = self.client.info("persistence")
        return bool(info["rdb_last_bgsave_status"] == "err")

    def load_again(self) -> None:
        """Make it read its file; return once it has."""
        with redis.Redis(port=self.port, socket_timeout=None) as client:
            client.execute_command("DEBUG LOADAOF")


class Clock:
    """Redis's clock, set by libfaketime relative to ours."""

    def __init__(self, folder: Path, library: str) -> None:
        self._file = folder / "clock"
        self.set(0)
        self.environment: Final = {
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, ahead_s: int) -> None:
        """Set it `ahead_s` seconds ahead of ours."""
        self._file.write_text(f"{ahead_s:+d}")


def libfaketime() -> str | None:
    """Return the library's path; None if this machine has none (Debian: `libfaketime`)."""
    named = os.environ.get("LIBFAKETIME")
    return named or next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), None)


class World:
    """The gateways and the servers that the driver breaks."""

    def __init__(self, folder: Path, simulator: Simulator, lease: Settings | None) -> None:
        self.gateways: list[Gateway] = []
        self._folder = folder
        self._simulator = simulator
        self._settings = merged(SETTINGS, DEFAULT_LEASE if lease is None else lease)

    def client_of(self, session: str) -> redis.Redis:
        """Return a client of the server that has a session."""
        raise NotImplementedError

    def primaries(self) -> list[redis.Redis]:
        """Return a client of each server that keeps sessions."""
        raise NotImplementedError

    def add(self, url: str) -> None:
        """Start a gateway; returns before it is ready."""
        self.gateways.append(Gateway(self._start(f"gateway-{len(self.gateways)}", url), url))

    def _start(self, name: str, url: str) -> GatewayProcess:
        folder, simulator = self._folder / name, self._simulator.url
        return GatewayProcess(folder, url, simulator, self._settings, wait=False)

    async def revive(self, gateway: Gateway) -> None:
        """Wait until a gateway serves again, and restart it if it has ended; Redis may be down."""
        deadline = time.monotonic() + START_LIMIT_S
        while not await asyncio.to_thread(gateway.process.is_ready):
            name = gateway.process.folder.name
            assert time.monotonic() < deadline, f"{name} is ready within {START_LIMIT_S} s"
            if gateway.process.process.exit_code is not None:
                gateway.process = self._start(name, gateway.url)
            await asyncio.sleep(0.1)

    def endpoint(self, choose: random.Random) -> Endpoint:
        """Return a gateway that is up, as a load balancer would."""
        up = [gateway for gateway in self.gateways if not gateway.busy]
        return choose.choice(up or self.gateways).process.at

    def end(self) -> None:
        """Kill all remaining processes."""
        for gateway in self.gateways:
            gateway.process.end()


class OneServer(World):
    """Gateways over one Redis, each through a connection that can be cut.

    Attributes:
        ways: to it, of each gateway.
        clock: Redis's; None if it cannot be set.
    """

    def __init__(
        self,
        folder: Path,
        redis: BreakableRedis,
        simulator: Simulator,
        lease: Settings | None,
        clock: Clock | None,
    ) -> None:
        super().__init__(folder, simulator, lease)
        self.redis = redis
        self.clock = clock
        self.ways: list[FaultyProxy] = []

    def client_of(self, session: str) -> redis.Redis:
        """See World."""
        return self.redis.client

    def primaries(self) -> list[redis.Redis]:
        """See World."""
        return [self.redis.client]

    def end(self) -> None:
        """See World."""
        super().end()
        self.redis.end()


@asynccontextmanager
async def world(
    folder: Path, simulator: Simulator, lease: Settings | None = None, library: str | None = None
) -> AsyncIterator[OneServer]:
    """Run all of it for the length of a block.

    Args:
        lease: settings of another lease than the default.
        library: the path of libfaketime, which sets Redis's clock.
    """
    clock = None if library is None else Clock(folder, library)
    server = BreakableRedis(folder, None if clock is None else clock.environment)
    made = OneServer(folder, server, simulator, lease, clock)
    try:
        server.start()
        server.write_through()  # so that a kill loses no acknowledged write
        async with AsyncExitStack() as ways:
            for _ in range(GATEWAYS):
                way = await ways.enter_async_context(faulty_proxy(server.port))
                made.ways.append(way)
                made.add(f"redis://127.0.0.1:{way.port}/0")
            for gateway in made.gateways:
                await made.revive(gateway)
            yield made
    finally:
        made.end()
