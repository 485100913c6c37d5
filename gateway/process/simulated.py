"""The demo's simulated providers, in a process of their own.

A real provider does not die with a gateway's worker. Neither does this one: its background
responses continue, and the worker that takes over reads them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from typing import TYPE_CHECKING, Final

import uvloop

from midstream.process.launch import end_with
from midstream.providers.registry import simulated_apis, simulated_rows

if TYPE_CHECKING:
    from midstream.settings.sections import Settings

logger = logging.getLogger(__name__)

RESTART_DELAY_S: Final = 0.5
BACKLOG: Final = 2048


def has_simulated_agents(settings: Settings) -> bool:
    """Return whether an agent of these settings uses a simulated provider."""
    agents = settings.agents.values()
    return not agents or any(agent.provider in simulated_rows() for agent in agents)


class SimulatedProviders:
    """The process, restarted when it dies; its address stays, since the parent owns the socket."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)

    @property
    def url(self) -> str:
        """Their base URL; see `serve_simulator`."""
        host, port = self._listener.getsockname()
        return f"http://{host}:{port}"

    def close(self) -> None:
        """Close the socket."""
        self._listener.close()

    async def keep(self) -> None:
        """Keep the process running until cancelled; then end it."""
        descriptor = self._listener.fileno()
        while True:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", __name__, str(os.getpid()), str(descriptor)),
                stdin=asyncio.subprocess.PIPE,
                pass_fds=(descriptor,),
                start_new_session=True,
            )
            try:
                code = await process.wait()
            except BaseException:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
                raise
            logger.warning("simulated_providers_died code=%s restarting=true", code)
            await asyncio.sleep(RESTART_DELAY_S)


def main() -> None:
    """Serve until killed: `python -m midstream.process.simulated PARENT_PID SOCKET`."""
    parent_pid, descriptor = map(int, sys.argv[1:])
    end_with(parent_pid)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(socket.socket(fileno=descriptor)))


async def _serve(listener: socket.socket) -> None:
    # Imported here: the parent imports this module, and serves nothing.
    from midstream.simulator import create_simulator
    from midstream.simulator.server import serve_simulator

    async with serve_simulator(create_simulator(simulated_apis()), listener=listener):
        await asyncio.Event().wait()


if __name__ == "__main__":
    main()
