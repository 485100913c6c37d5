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

from midstream.settings.provider_kinds import simulators

if TYPE_CHECKING:
    from midstream.settings.sections import Settings

logger = logging.getLogger(__name__)

_PROGRAM: Final = "midstream.process.simulator"
"""Not imported here: the parent, which runs this, serves nothing."""

RESTART_DELAY_S: Final = 0.5
BACKLOG: Final = 2048


def has_simulated_agents(settings: Settings) -> bool:
    """Return whether an agent of these settings uses a simulated provider."""
    agents = settings.agents.values()
    return not agents or any(agent.provider in simulators() for agent in agents)


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
                *(sys.executable, "-m", _PROGRAM, str(os.getpid()), str(descriptor)),
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
