"""A worker: one process that serves. `serve.py` starts it, and it ends with that.

Its launch message is one line of JSON on stdin. Stdin stays open: its end is the parent's end.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import sys
from typing import TYPE_CHECKING, Final

import msgspec
import uvicorn
import uvloop

from midstream.app import Gateway
from midstream.errors import SettingsError
from midstream.process.launch import EXIT_FAILED, EXIT_SETTINGS, Launch, end_with
from midstream.server import Guard, GuardedConfig, GuardedHttpProtocol
from midstream.telemetry import configure_logging

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("midstream.process.worker")

LAST_RESPONSES_S: Final = 5
"""After the drain: time for clients to read the last bytes of responses."""

ENDING_S: Final = 2
"""After that: time for broken-off responses to end."""

OTHER_FILES: Final = 512
"""Open files besides clients' connections: Redis, providers, the worker's own, refused clients."""

MANY_FILES: Final = 65_536
"""Open files to request where the system has no limit."""

YOUNG_OBJECTS: Final = 50_000
"""Objects made and not yet freed before the garbage collector runs. One chunk on its way to some
hundred readers makes more than Python's 700: these short-lived objects would age into the oldest
generation and trigger full collections (300 ms, at a thousand readers). The price is some megabytes
of garbage in cycles."""


class WorkerServer(uvicorn.Server):
    """uvicorn, with a drain at its end, and a second signal that ends at once."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway, ready: int) -> None:
        super().__init__(config)
        self._gateway = gateway
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, and report it to the parent."""
        await super().startup(sockets)
        os.write(self._ready, b"1")
        os.close(self._ready)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nothing more, let runs finish and their readers read them, then close."""
        for server in self.servers:
            server.close()
        await self._gateway.drain()
        late = asyncio.get_running_loop().call_later(LAST_RESPONSES_S, self._break_off)
        try:
            await super().shutdown(sockets)
        finally:
            late.cancel()

    def _break_off(self) -> None:
        """Break off unread responses: uvicorn's cancellation of them logs a traceback."""
        for connection in list(self.server_state.connections):
            if isinstance(connection, GuardedHttpProtocol):
                connection.break_off()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Shut down at the first signal; the second meets the default, and ends at once."""
        loop = asyncio.get_running_loop()

        def begin_shutdown(number: signal.Signals) -> None:
            self.should_exit = True
            for each in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(each)
            logger.info("shutdown_begins signal=%s", number.name)

        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, begin_shutdown, each)
        yield


def main() -> None:
    """Serve until a signal; exit with a code of `docs/settings.md`."""
    launch = msgspec.json.decode(sys.stdin.buffer.readline(), type=Launch)
    end_with(launch.parent_pid)
    configure_logging(launch.settings.server.log_level)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(launch))
    except SettingsError as error:
        logger.error("settings_refused reason=%s", error.message)
        sys.exit(EXIT_SETTINGS)
    except BaseExceptionGroup as failed:
        logger.error("worker_failed", exc_info=failed)
        sys.exit(EXIT_FAILED)


async def _serve(launch: Launch) -> None:
    settings = launch.settings
    gateway = Gateway(settings, simulator_url=launch.simulator_url, owns_redis=launch.owns_redis)
    config = GuardedConfig(
        gateway,
        Guard(settings.connections, _files_for_connections()),
        loop="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws_max_size=settings.server.max_body_bytes,
        timeout_graceful_shutdown=LAST_RESPONSES_S + ENDING_S,
    )
    sockets = [socket.socket(fileno=descriptor) for descriptor in launch.sockets]
    async with gateway.open():
        _spare_the_collector()
        await WorkerServer(config, gateway, launch.ready).serve(sockets)


def _files_for_connections() -> int:
    """Raise the limit of open files, and return the connections that it leaves room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MANY_FILES if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return MANY_FILES if soft == resource.RLIM_INFINITY else max(soft - OTHER_FILES, soft // 2)


def _spare_the_collector() -> None:
    """Raise the threshold of the garbage collector and freeze long-lived objects."""
    gc.collect()
    gc.freeze()
    _, middle, old = gc.get_threshold()
    gc.set_threshold(YOUNG_OBJECTS, middle, old)


if __name__ == "__main__":
    main()
