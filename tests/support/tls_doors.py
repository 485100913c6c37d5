"""Doors before servers that cannot speak TLS themselves: as a real server that does, and announces
its door's address.

A door speaks TLS with who begins so, and passes on what the others say: the servers among
themselves, and the test. The doors are a process of their own: a test that is busy would keep the
servers waiting, and the servers a test that waits for them.

    python -m tests.support.tls_doors CERTIFICATE    # a line `PORT INNER` each; ends with its input
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support.certificate import make_certificate
from tests.support.processes import REPOSITORY, free_port

if TYPE_CHECKING:
    from collections.abc import Coroutine

TLS_HELLO: Final = b"\x16"
"""First byte of a client that begins with TLS; no command begins with it."""


class TlsDoors:
    """Doors with one certificate; open until `close`.

    Attributes:
        certificate: whoever trusts this file trusts the doors.
    """

    def __init__(self, folder: Path) -> None:
        self.certificate = make_certificate(folder, "localhost")
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-m", "tests.support.tls_doors", str(self.certificate)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def before(self, port: int) -> int:
        """Open a door at a port; return the port at which its server is to listen."""
        inner = free_port()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{port} {inner}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "open\n", "the doors have ended"
        return inner

    def close(self) -> None:
        """Close all doors."""
        self._process.kill()
        self._process.communicate()


class _Doors:
    """The doors, in their process."""

    def __init__(self, certificate: Path) -> None:
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate)
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open_all(self) -> None:
        """Open each door that is asked for, until nobody asks any more."""
        asked = asyncio.StreamReader()
        await self._loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(asked), sys.stdin)
        while line := await asked.readline():
            port, inner = map(int, line.split())
            listener = socket.create_server(("127.0.0.1", port), backlog=200)
            listener.setblocking(False)
            self._keep(self._loop.create_task(self._listen(listener, inner)))
            sys.stdout.write("open\n")
            sys.stdout.flush()
        await self._end()

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self, listener: socket.socket, inner: int) -> None:
        with listener:
            while True:
                client, _ = await self._loop.sock_accept(listener)
                self._keep(self._loop.create_task(self._let_in(client, inner)))

    async def _let_in(self, client: socket.socket, inner: int) -> None:
        """Pass on what a client says, and what it is answered, until one of the two has ended."""
        with suppress(OSError), client:
            is_tls = await self._first_byte(client) == TLS_HELLO
            reader, writer = await self._opened(client, self._context if is_tls else None)
            try:
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", inner)
                try:
                    await _first_of(pump(reader, far_writer), pump(far_reader, writer))
                finally:
                    far_writer.transport.abort()
            finally:
                writer.transport.abort()

    async def _first_byte(self, client: socket.socket) -> bytes:
        """Return the first byte, and leave it there."""
        came = asyncio.Event()
        self._loop.add_reader(client, came.set)
        try:
            await came.wait()
        finally:
            self._loop.remove_reader(client)
        return client.recv(1, socket.MSG_PEEK)

    async def _opened(
        self, client: socket.socket, context: ssl.SSLContext | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await self._loop.connect_accepted_socket(
            lambda: protocol, client, ssl=context
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, self._loop)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes until it ends."""
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


async def _first_of(*ways: Coroutine[None, None, None]) -> None:
    """Return when one of them has ended."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _main() -> None:
    await _Doors(Path(sys.argv[1])).open_all()


if __name__ == "__main__":
    asyncio.run(_main())
