"""Run the simulator: `python -m midstream.simulator --port 9999 [--uds path]`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import suppress

from midstream.simulator.app import create_simulator
from midstream.simulator.directives import MODELS
from midstream.simulator.server import serve_simulator


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m midstream.simulator")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9999)
    parser.add_argument("--uds", help="a Unix socket's path, instead of host and port")
    parser.add_argument(
        "--no-journal", action="store_true", help="do not serve GET /sim/requests: it shows prompts"
    )
    arguments = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(arguments))


async def _serve(arguments: argparse.Namespace) -> None:
    simulator = create_simulator(journal_enabled=not arguments.no_journal)
    address = {"host": arguments.host, "port": arguments.port, "uds": arguments.uds}
    async with serve_simulator(simulator, **address) as base_url:
        where = arguments.uds or base_url
        sys.stdout.write(
            f"Simulated providers at {where}\n"
            f"  Anthropic  {base_url}/anthropic\n"
            f"  OpenAI     {base_url}/openai/v1\n"
            f"  models     {', '.join(MODELS)}\n"
            "Any API key will do.\n"
        )
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    main()
