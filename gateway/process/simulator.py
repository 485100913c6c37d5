"""The process of the simulated providers. `simulated.py` starts it."""

from __future__ import annotations

import asyncio
import socket
import sys

import uvloop

from midstream.process.launch import end_with
from midstream.providers.registry import simulated_apis
from midstream.simulator import create_simulator
from midstream.simulator.server import serve_simulator


def main() -> None:
    """Serve until killed: `python -m midstream.process.simulator PARENT_PID SOCKET`."""
    parent_pid, descriptor = map(int, sys.argv[1:])
    end_with(parent_pid)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(socket.socket(fileno=descriptor)))


async def _serve(listener: socket.socket) -> None:
    # Imported here: the parent imports this module, and serves nothing.

    async with serve_simulator(create_simulator(simulated_apis()), listener=listener):
        await asyncio.Event().wait()


if __name__ == "__main__":
    main()
