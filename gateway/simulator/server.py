"""The simulator on a socket of its own: for the command, the gateway's demo, and tests."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, cast

import uvicorn
from uvicorn.server import ServerState

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable

    from midstream.simulator.app import Simulator

KEEP_ALIVE_S: Final = 75
"""Longer than clients keep an idle connection: if the server closes it first, the request that is
on its way at that moment is lost. uvicorn's own limit is 5 s."""


@asynccontextmanager
async def serve_simulator(
    simulator: Simulator,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    uds: str | None = None,
    listener: socket.socket | None = None,
) -> AsyncIterator[str]:
    """Serve `simulator` in this event loop while the context is open.

    uvicorn's own `Server` takes the process's signals and polls; its protocol alone is all
    that is needed. Leaving the context drops every connection at once.

    Args:
        simulator: to be served.
        host, port: where.
        uds: a Unix socket's path, instead.
        listener: a socket that is bound and listens, instead.

    Yields:
        Its base URL: `/anthropic` and `/openai/v1` come after it. Over a Unix socket the
        host in it means nothing.

    Raises:
        OSError: the address cannot be had.
    """
    state = ServerState()
    create_protocol = _protocol_factory(simulator, state)
    loop = asyncio.get_running_loop()
    if uds is not None:
        server = await loop.create_unix_server(create_protocol, path=uds)
        base_url = "http://simulator"
    else:
        where = {"host": host, "port": port} if listener is None else {"sock": listener}
        server = await loop.create_server(create_protocol, **where)
        address = server.sockets[0].getsockname()
        base_url = f"http://{address[0]}:{address[1]}"
    try:
        yield base_url
    finally:
        server.close()
        await _drop(state)
        await simulator.close()
        await server.wait_closed()


def _protocol_factory(simulator: Simulator, state: ServerState) -> Callable[[], asyncio.Protocol]:
    config = uvicorn.Config(
        simulator,
        access_log=False,
        log_config=None,
        lifespan="off",
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    config.load()
    # uvicorn types the class as a bare `asyncio.Protocol`; its own server says the same.
    make = cast("Callable[..., asyncio.Protocol]", config.http_protocol_class)
    return lambda: make(config=config, server_state=state, app_state={})


async def _drop(state: ServerState) -> None:
    tasks = list(state.tasks)
    for connection in list(state.connections):
        connection.transport.abort()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
