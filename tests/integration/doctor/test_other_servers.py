"""What is at the address, if it is no Redis that can be used; and that nothing is left anywhere."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
import threading
from contextlib import asynccontextmanager, closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from midstream.store.redis.client import RedisClient
from midstream.store.server.examination import examine
from midstream.store.server.rehearsal import own_prefix, rehearse
from midstream.store.server.settings import StoreSettings
from tests.support.certificate import make_certificate
from tests.support.processes import free_port
from tests.support.verdicts import bad

from .conftest import found_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from midstream.store.server.verdict import Verdict

    from .conftest import AsSet

    Serve = Callable[..., AsSet]

pytestmark = pytest.mark.anyio


@contextmanager
def speaking(first: bytes, *, answers: dict[bytes, bytes] | None = None) -> Iterator[str]:
    """Run a server that answers each connection's first words, or says nothing."""
    listener = socket.create_server(("127.0.0.1", free_port()))

    def serve_all() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                heard = connection.recv(1000)
                reply = (answers or {}).get(heard, first)
                if reply:
                    connection.sendall(reply)

    thread = threading.Thread(target=serve_all, daemon=True)
    thread.start()
    try:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@contextmanager
def http_server() -> Iterator[str]:
    """Run a real HTTP server."""

    class Quiet(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"redis://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


async def test_what_is_no_redis_is_named(subtests: pytest.Subtests) -> None:
    """By its first words: PostgreSQL says nothing to a PING, and one letter to its own request."""
    postgresql = {b"\x00\x00\x00\x08\x04\xd2\x16\x2f": b"N"}
    rows = [
        (http_server(), "an HTTP server"),
        (speaking(b"", answers=postgresql), "PostgreSQL"),
        (speaking(b"SSH-2.0-OpenSSH_9.2\r\n"), "an SSH server"),
        (speaking(b"\x15\x03\x01\x00\x02\x02\x46"), "wants TLS"),
        (speaking(b"ERROR\r\n"), "memcached"),
        (speaking(b"hello\r\n"), "something else"),
        (speaking(b""), "does not answer"),
    ]
    for server, what in rows:
        with subtests.test(what), server as url:
            found = await found_at(url)
            assert bad(found) == {"connection": "fault"}
            assert what in found["connection"].says

    with closing(socket.create_server(("127.0.0.1", 0))) as nobody:
        port = nobody.getsockname()[1]
    assert "can be reached" in (await found_at(f"redis://127.0.0.1:{port}"))["connection"].says


# -- TLS ----------------------------------------------------------------------------------


@asynccontextmanager
async def terminator(port: int, certificate: Path) -> AsyncIterator[int]:
    """Speak TLS before a server, as clouds do; yield the port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    pumps: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
        except OSError:
            pass
        finally:
            writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        for pair in ((reader, inner_writer), (inner_reader, writer)):
            pumps.add(asyncio.create_task(pump(*pair)))

    server = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]
    for task in pumps:
        task.cancel()
    await asyncio.gather(*pumps, return_exceptions=True)


async def test_encryption_is_tried_and_its_mistakes_are_named(serve: Serve, tmp_path: Path) -> None:
    """A certificate that is not trusted, and the wrong scheme on either side."""
    server = serve()
    certificate = make_certificate(tmp_path, "localhost")
    async with terminator(server.port, certificate) as port:
        good = await found_at(f"rediss://localhost:{port}?ssl_ca_certs={certificate}")
        assert bad(good) == {}

        untrusted = await found_at(f"rediss://localhost:{port}")
        assert "certificate" in untrusted["connection"].says
        assert "ssl_ca_certs" in untrusted["connection"].do

        plain = await found_at(f"redis://localhost:{port}")
        assert "rediss://" in plain["connection"].do
    wrong = await found_at(f"rediss://localhost:{server.port}")
    assert "does not speak TLS" in wrong["connection"].says


# -- nothing is left ----------------------------------------------------------------------


async def test_examination_that_is_cancelled_leaves_nothing(serve: Serve) -> None:
    """What it has written by then is removed."""
    server = serve()
    examining = asyncio.create_task(examine(server.url, "ms", lambda _: None))
    while not server.client.keys("ms:doctor-*"):  # noqa: ASYNC110 - it is in another process
        await asyncio.sleep(0.005)
    examining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await examining
    assert server.client.keys() == []


async def test_every_key_of_an_examination_expires(serve: Serve) -> None:
    """Its process may be killed, too."""
    server = serve()
    client = RedisClient(server.url, StoreSettings())
    prefix = own_prefix("ms")
    rehearsing = asyncio.create_task(rehearse(server.url, client, prefix))
    lives: list[int] = []
    while not rehearsing.done():
        lives += [server.client.ttl(key) for key in server.client.scan_iter()]
        await asyncio.sleep(0.01)
    await client.aclose()
    assert lives
    assert -1 not in lives
    assert max(lives) <= 120


@pytest.mark.parametrize("subject", ["kind", "rights", "clock"])
async def test_server_that_goes_away_in_an_examination_is_a_fault(
    serve: Serve, subject: str
) -> None:
    """Told in a sentence, whatever was asked last."""
    server = serve()
    process = server.process
    assert process is not None
    found: dict[str, Verdict] = {}

    def tell(verdict: Verdict) -> None:
        found[verdict.subject] = verdict
        if verdict.subject == subject:
            process.send_signal(signal.SIGKILL)

    await examine(server.url, "ms", tell, command_timeout_s=3)
    assert bad(found) in ({"connection": "fault"}, {"session": "fault", "connection": "fault"})
    assert "nothing can be reached" in found["connection"].says


async def test_server_that_closes_at_the_first_words_and_is_gone_cannot_be_reached() -> None:
    """It accepted a connection, but is not said to accept any."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def hear_once_of_each_kind() -> None:
        """Let the client and the look at the address connect; end at the words of the latter."""
        while True:
            connection, _ = listener.accept()
            with connection:
                if connection.recv(1000) == b"PING\r\n":
                    listener.close()
                    return

    thread = threading.Thread(target=hear_once_of_each_kind, daemon=True)
    thread.start()
    found = await found_at(f"redis://127.0.0.1:{port}")
    thread.join()
    assert "nothing can be reached" in found["connection"].says
