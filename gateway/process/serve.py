"""The parent: owns the sockets and the embedded Redis, and keeps workers alive.

It serves nothing itself: when a worker dies, the address stays bound, Redis stays up, and another
worker resumes or closes its runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from midstream.errors import GatewayError, SettingsError, StoreError
from midstream.process.launch import EXIT_FAILED, EXIT_SETTINGS, Launch
from midstream.process.simulated import SimulatedProviders, has_simulated_agents
from midstream.settings.redis_url import SentinelUrl, parse_redis_url
from midstream.store.errors import UNREACHABLE
from midstream.store.redis.store import RedisStore
from midstream.store.server.embedded import EmbeddedRedis
from midstream.telemetry import quoted, redact_url

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from midstream.settings.sections import Settings

logger = logging.getLogger(__name__)

SEND_BUFFER_BYTES: Final = 64 * 1024
"""Linux grows a socket's buffer to 4 MB for a client that does not read."""

BACKLOG: Final = 2048
MAX_FAILED_STARTS: Final = 5
"""Failed starts of one worker in a row, at which the gateway gives up."""
RESTART_DELAY_S: Final = 0.5
"""Doubled with each failed start; a worker that has served is replaced at once."""
REDIS_WATCH_S: Final = 0.2
REDIS_RETRY_S: Final = 5.0
"""Longest delay between attempts to start Redis."""


class WorkersFailedError(GatewayError):
    """Workers do not start.

    Args:
        exit_code: of the last one, and then of the command.
    """

    code = "workers_failed"

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def serve(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; a second one ends at once.

    Args:
        announce: called with the address once the first worker serves.

    Raises:
        SettingsError: the address, the data folder or an agent cannot be used.
        StoreError: Redis cannot be reached or started.
        WorkersFailedError: workers end as soon as they are started.
    """
    with ExitStack() as stack:
        sockets = bind(settings)
        for listener in sockets:
            stack.enter_context(listener)
        if settings.server.workers > 1:
            folder = stack.enter_context(TemporaryDirectory(prefix="midstream-metrics-"))
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        redis = None
        if settings.redis.url:
            asyncio.run(check_redis(settings))
        else:
            redis = OwnRedis(settings)
            stack.enter_context(redis)
            settings = with_redis_url(settings, redis.url)
        simulated = None
        if settings.server.demo and has_simulated_agents(settings):
            simulated = stack.enter_context(contextlib.closing(SimulatedProviders()))
        supervisor = Supervisor(
            settings,
            sockets,
            lambda: announce(address_of(sockets[0])),
            simulated,
            owns_redis=redis is not None,
        )
        asyncio.run(supervisor.run(redis))


def bind(settings: Settings) -> list[socket.socket]:
    """Bind the address; a name may have several.

    Raises:
        SettingsError: it is taken, or does not exist.
    """
    server = settings.server
    with ExitStack() as stack:
        try:
            found = socket.getaddrinfo(
                server.host, server.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            sockets: list[socket.socket] = []
            port = server.port
            for family, kind, protocol, _, address in dict.fromkeys(found):
                listener = stack.enter_context(socket.socket(family, kind, protocol))
                sockets.append(listener)
                _configure(listener, server.write_deadline_s)
                listener.bind((address[0], port, *address[2:]))
                # With port 0 the first address chooses, and the others follow.
                port = listener.getsockname()[1]
                listener.listen(BACKLOG)
        except OSError as error:
            raise SettingsError(
                f"unable to listen on {server.host}:{server.port}; {error.strerror or error}. "
                "Choose another --port or --host"
            ) from None
        stack.pop_all()
    return sockets


def _configure(listener: socket.socket, write_deadline_s: float) -> None:
    """Set the options that accepted connections inherit."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if listener.family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Drops a closed connection whose client does not read.
        milliseconds = int(write_deadline_s * 1000)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


def address_of(listener: socket.socket) -> str:
    """Return a bound socket's URL."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def check_redis(settings: Settings) -> None:
    """Check that the configured Redis answers and can keep sessions.

    Raises:
        StoreError: it does not answer.
        SettingsError: it cannot keep sessions: a replica, a cluster or a Sentinel.
    """
    shown = f"Redis at {redact_url(settings.redis.url)}"
    async with RedisStore.connect(settings.redis.url) as store:
        try:
            facts = await store.describe()
            if facts.refusal is not None:
                raise SettingsError(f"unable to use {shown}; {facts.refusal}")
            await store.ping()
        except StoreError as error:
            if error.message != UNREACHABLE:
                raise StoreError(error.message.replace("Redis", shown, 1)) from None
            if isinstance(parse_redis_url(settings.redis.url), SentinelUrl):
                raise StoreError(f"unable to reach {shown}; {error.__cause__}") from None
            raise StoreError(
                f"unable to reach {shown}; start it, or leave REDIS_URL unset to have the "
                "gateway start one of its own"
            ) from None


def with_redis_url(settings: Settings, url: str) -> Settings:
    """Return the settings with another Redis."""
    redis = msgspec.structs.replace(settings.redis, url=url)
    return msgspec.structs.replace(settings, redis=redis)


class OwnRedis:
    """The embedded Redis, restarted when it dies; its file has everything."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.redis
        self._redis = self._new()

    def _new(self) -> EmbeddedRedis:
        return EmbeddedRedis(Path(self._settings.data_dir), appendfsync=self._settings.appendfsync)

    @property
    def url(self) -> str:
        """Its URL; the same after a restart."""
        return self._redis.url

    def __enter__(self) -> OwnRedis:
        self._redis.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._redis.__exit__(None, None, None)

    async def keep(self) -> None:
        """Restart it whenever it has ended, until cancelled.

        A failed start, as on a full disk, is retried: workers serve without Redis meanwhile, as
        far as they can.
        """
        failed_starts = 0
        while True:
            await asyncio.sleep(min(REDIS_WATCH_S * 2**failed_starts, REDIS_RETRY_S))
            if not self._has_ended():
                continue
            logger.error("redis_died restarting=true")
            self._redis.__exit__(None, None, None)
            self._redis = self._new()
            try:
                self._redis.__enter__()
            except (StoreError, SettingsError) as error:
                failed_starts += 1
                logger.error("redis_not_started %s", quoted(reason=error.message))
            else:
                failed_starts = 0

    def _has_ended(self) -> bool:
        """Return whether the process has ended, without reaping it: `EmbeddedRedis` does."""
        pid = self._redis.pid
        if pid is None:
            return True
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


class WorkerProcess(Protocol):
    """A worker process, for its supervisor."""

    def send_signal(self, signal: int) -> None:
        """Send it a signal. Raises ProcessLookupError if it has ended."""
        ...

    async def wait(self) -> int:
        """Return its exit code once it has ended; negative for a signal."""
        ...


async def start_worker(launch: Launch) -> WorkerProcess:
    """Start a worker: it inherits the descriptors, and reads its launch message on stdin."""
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "midstream.process.worker"),
        stdin=asyncio.subprocess.PIPE,
        pass_fds=(*launch.sockets, launch.ready),
        # A session of its own: the parent forwards a Ctrl-C in the terminal.
        start_new_session=True,
    )
    if worker.stdin is not None:
        worker.stdin.write(msgspec.json.encode(launch) + b"\n")
    return worker


class Supervisor:
    """Keeps the workers, and ends them.

    Args:
        simulated: the simulated providers; they outlive the workers.
    """

    def __init__(
        self,
        settings: Settings,
        sockets: Sequence[socket.socket],
        announce: Callable[[], None],
        simulated: SimulatedProviders | None = None,
        *,
        owns_redis: bool = False,
    ) -> None:
        self._simulated = simulated
        self._owns_redis = owns_redis
        self._settings = settings
        self._sockets = [listener.fileno() for listener in sockets]
        self._announce: Callable[[], None] | None = announce
        self._ending = asyncio.Event()
        self._workers: set[WorkerProcess] = set()

    async def run(self, redis: OwnRedis | None) -> None:
        """Keep workers alive until a signal, then let them finish.

        Raises:
            WorkersFailedError: see `serve`.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        try:
            async with asyncio.TaskGroup() as tasks:
                keepers = []
                if redis is not None:
                    keepers.append(tasks.create_task(redis.keep(), name="keep-redis"))
                if self._simulated is not None:
                    keepers.append(tasks.create_task(self._simulated.keep(), name="keep-simulated"))
                async with asyncio.TaskGroup() as workers:
                    for index in range(self._settings.server.workers):
                        workers.create_task(self._keep(), name=f"keep-worker-{index}")
                for keeper in keepers:
                    keeper.cancel()
        except BaseExceptionGroup as failed:
            raise _first_leaf(failed) from None
        finally:
            self._signal(signal.SIGKILL)

    def _end(self) -> None:
        """Let workers finish; the second time, kill them."""
        self._signal(signal.SIGKILL if self._ending.is_set() else signal.SIGTERM)
        self._ending.set()

    def _signal(self, number: signal.Signals) -> None:
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                worker.send_signal(number)

    async def _keep(self) -> None:
        failed_starts = 0
        while not self._ending.is_set():
            served, code = await self._run_worker()
            if self._ending.is_set():
                return
            failed_starts = 0 if served else failed_starts + 1
            if not served and code == EXIT_SETTINGS:
                raise WorkersFailedError("", EXIT_SETTINGS)
            if failed_starts == MAX_FAILED_STARTS:
                raise WorkersFailedError(
                    "unable to serve; workers exit at their start", EXIT_FAILED
                )
            logger.warning("worker_died code=%s served=%s restarting=true", code, served)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RESTART_DELAY_S * failed_starts):
                    await self._ending.wait()

    async def _run_worker(self) -> tuple[bool, int]:
        """Run a worker to its end; return whether it ever served, and its exit code."""
        read, write = os.pipe()
        with ExitStack() as stack:
            stack.callback(os.close, read)
            try:
                worker = await start_worker(
                    Launch(
                        parent_pid=os.getpid(),
                        sockets=self._sockets,
                        ready=write,
                        settings=self._settings,
                        simulator_url=self._simulated.url if self._simulated else "",
                        owns_redis=self._owns_redis,
                    )
                )
            finally:
                os.close(write)
            self._workers.add(worker)
            try:
                if self._ending.is_set():
                    worker.send_signal(signal.SIGTERM)
                # The pipe ends with the byte, or with the worker.
                served = bool(await asyncio.to_thread(os.read, read, 1))
                if served and self._announce is not None:
                    announce, self._announce = self._announce, None
                    announce()
                return served, await worker.wait()
            finally:
                self._workers.discard(worker)


def _first_leaf(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first leaf error of a group."""
    first = failed.exceptions[0]
    return _first_leaf(first) if isinstance(first, BaseExceptionGroup) else first
