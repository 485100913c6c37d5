"""A request that is too much, or never whole, is refused before the application sees it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import pytest

from midstream.server import guard
from midstream.server.guard import next_deadline
from midstream.settings.connections import ConnectionSettings
from tests.support.processes import eventually
from tests.unit.gateway.server.served import HEAD, LIMIT_S, WHOLE, refusal_of, serving

if TYPE_CHECKING:
    from tests.unit.gateway.server.served import Served

pytestmark = pytest.mark.anyio

CHUNKED = b"POST /hello" + HEAD + b"transfer-encoding: chunked\r\n\r\n"
FIELDS = b"".join(b"x-%d: 1\r\n" % number for number in range(120))


class Case(NamedTuple):
    """A request, and its refusal; `seen`: the application has begun with its head."""

    status: int
    code: str
    pieces: list[bytes]
    seen: bool = False


CASES = {
    "head of 40 kB": Case(
        431, "head_too_large", [b"GET /" + HEAD + b"x-long: " + b"a" * 40_960 + b"\r\n\r\n"]
    ),
    "head of 40 kB in pieces": Case(
        431, "head_too_large", [b"GET /" + HEAD, *[b"x-part: " + b"a" * 4000 + b"\r\n"] * 10]
    ),
    "name of 40 kB that never ends": Case(
        431, "head_too_large", [b"GET /" + HEAD, b"x" * 20_480, b"x" * 20_480]
    ),
    "empty lines before the request": Case(431, "head_too_large", [b"\r\n" * 20_480]),
    "120 fields": Case(431, "head_too_large", [b"GET /" + HEAD + FIELDS + b"\r\n"]),
    "target of 25 kB": Case(414, "target_too_long", [b"GET /" + b"a" * 25_000 + HEAD + b"\r\n"]),
    "trailer": Case(
        400, "invalid_request", [CHUNKED + b"2\r\n{}\r\n0\r\nx-late: 1\r\n\r\n"], seen=True
    ),
    "trailer that comes later": Case(
        400, "invalid_request", [CHUNKED, b"2\r\n{}\r\n", b"0\r\nx-late: 1\r\n\r\n"], seen=True
    ),
    "trailer of 80 kB that never ends": Case(
        400,
        "invalid_request",
        [CHUNKED + b"2\r\n{}\r\n0\r\nx-late: ", b"a" * 40_960, b"a" * 40_960],
        seen=True,
    ),
    "not HTTP": Case(400, "invalid_request", [b"\x16\x03\x01\x02\x00\r\n\r\n"]),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_request_beyond_a_limit_is_refused(case: Case) -> None:
    """With a status and a code, and no application is given a body of it."""
    async with serving() as served:
        answer = await served.ask(*case.pieces)

        assert refusal_of(answer) == (case.status, case.code)
        assert served.app.requests == (["/hello"] if case.seen else [])
        assert served.app.bodies == []


async def test_refused_client_leaves_nothing_behind() -> None:
    """The bytes that were read are freed while the connection still lingers."""
    async with serving() as served, served.connected() as raw:
        await raw.send(b"GET /" + HEAD + b"x-long: " + b"a" * 40_960)
        await raw.read_until(b"}}")
        (connection,) = served.connections

        assert not any((connection.parser, connection.headers, connection.url, connection.scope))
        await raw.send(b"and on it goes" * 1000)
        await raw.close()
        await eventually(lambda: not served.state.connections, "gone")
        assert served.guard._lingering == 0


@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
async def test_request_within_the_limits_is_served_however_it_is_cut(size: int) -> None:
    """100 fields, 31 kB of head, a chunked body; then the next one on the same connection."""
    fields = b"".join(b"x-%d: %b\r\n" % (number, b"v" * 310) for number in range(96))
    first = (
        b"POST /first" + HEAD + b"transfer-encoding: chunked\r\n" + fields + b"\r\n"
        b"5;note=x\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    )
    sent = first + WHOLE
    async with serving() as served:
        answer = await served.ask(*(sent[at : at + size] for at in range(0, len(sent), size)))

        assert answer.count(b"HTTP/1.1 200 OK") == 2
        assert served.app.bodies == [b"hello world", b""]
        assert dict(served.app.fields)[b"host"] == b"here"


async def test_body_of_any_size_is_no_head() -> None:
    """Limits of heads do not count a body's bytes, and a head may follow in the same packet."""
    body = b"b" * 300_000
    request = b"POST /big" + HEAD + b"content-length: %d\r\n\r\n" % len(body) + body
    async with serving() as served:
        answer = await served.ask(request + request + WHOLE)

        assert answer.count(b"HTTP/1.1 200 OK") == 3
        assert [len(each) for each in served.app.bodies] == [len(body), len(body), 0]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /hello HTT", 408),
        (b"POST /hello" + HEAD + b"content-length: 9\r\n\r\n1234", 408),
        (CHUNKED + b"2\r\n{}\r\n", 408),
        (b"", None),
        (b"POST /feed" + HEAD + b"content-length: 9\r\n\r\n1234", 200),
    ],
    ids=["in its head", "in its body", "in its chunks", "before it", "while it is answered"],
)
async def test_request_that_stands_still_is_ended(sent: bytes, status: int | None) -> None:
    """408 where nothing was answered yet; in any case nothing of it is left."""
    limits = {"head_deadline_s": 1.0, "body_deadline_s": 1.0, "idle_limit_s": 1.0}
    async with serving(**limits) as served:
        try:
            answer = await served.ask(sent) if sent else await served.ask()
        except ConnectionResetError:
            answer = b"HTTP/1.1 200 OK"  # what was written before may be lost with it
        await eventually(lambda: not served.state.connections and not served.state.tasks, "ended")

        assert (int(answer.split(b" ")[1]) if answer else None) == status
        assert served.app.bodies == []


@pytest.mark.parametrize(
    ("received", "after_s", "left_s"),
    [(0, 15, 5), (1, 15, 5.001), (10_000, 15, 15), (10_000_000, 0, 20), (20_000, 20, 20)],
)
def test_body_earns_its_time(received: int, after_s: float, left_s: float) -> None:
    """A second for each 1000 bytes; what came in advance does not pay for a long silence."""
    begun = 100.0
    limits = ConnectionSettings(body_deadline_s=20.0, min_body_rate=1000)

    deadline = next_deadline(begun + 20, begun + after_s, received, limits)

    assert deadline == pytest.approx(begun + after_s + left_s)


async def test_body_that_keeps_coming_is_awaited() -> None:
    """However long all of it takes."""
    async with serving() as served, served.connected() as raw:
        await raw.send(b"POST /slow" + HEAD + b"content-length: 3\r\n\r\n")
        await eventually(lambda: bool(served.app.requests), "handed over")
        (connection,) = served.connections
        connection.look(asyncio.get_running_loop().time() + 19, 1.0)
        await raw.send(b"abc")

        assert (await raw.read_until(b"\r\n\r\n3")).startswith(b"HTTP/1.1 200 OK")


async def test_body_that_we_do_not_read_is_awaited() -> None:
    """The time limit pauses while reading does, and before `100 Continue` was sent."""
    async with serving() as served, served.connected() as raw:
        head = b"POST /hello" + HEAD + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n"
        await raw.send(head)
        assert await raw.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        (connection,) = served.connections
        later = asyncio.get_running_loop().time() + 1000
        connection.flow.pause_reading()
        connection.look(later, 1000.0)
        connection.flow.resume_reading()

        await raw.send(b"{}")
        assert (await raw.read_until(b"\r\n\r\n2")).startswith(b"HTTP/1.1 200 OK")


async def test_newest_connections_over_the_cap_are_refused() -> None:
    """503 when they ask; the older ones go on, and there is room when one has left."""
    async with serving(max_connections=2) as served, served.connected() as old:
        async with served.connected() as other:
            await old.send(b"GET /one" + HEAD + b"\r\n")
            await old.read_until(b"\r\n\r\n0")

            assert refusal_of(await served.ask(WHOLE)) == (503, "too_many_connections")
            await other.send(b"GET /two" + HEAD + b"\r\n")
            await other.read_until(b"\r\n\r\n0")
            await other.close()
        await eventually(lambda: len(served.connections) == 1, "room again")
        assert (await served.ask(WHOLE)).startswith(b"HTTP/1.1 200 OK")
        await old.send(WHOLE)
        assert (await old.read_all()).startswith(b"HTTP/1.1 200 OK")


async def test_connections_over_the_cap_that_are_too_many_themselves_are_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A refusal takes an open file for a moment: without a bound there would be none left."""
    monkeypatch.setattr(guard, "MAX_LINGERING", 1)
    async with serving(max_connections=1) as served, served.connected(), served.connected():
        async with served.connected() as third:
            with suppress(ConnectionResetError):
                assert await third.read_all() == b""
        assert len(served.connections) == 2


async def test_one_address_has_its_share_of_the_connections() -> None:
    """Another one is served while it is refused; a proxy's are those of many."""
    limits = {"max_connections_per_address": 1, "trusted_proxies": ("127.0.0.3/32",)}
    async with (
        serving(**limits) as served,
        served.connected(),
        served.connected("127.0.0.3"),
        served.connected("127.0.0.2") as other,
        served.connected("127.0.0.3") as proxy,
    ):
        assert refusal_of(await served.ask(WHOLE)) == (503, "too_many_connections")
        for raw in (other, proxy):
            await raw.send(WHOLE)
            assert (await raw.read_all()).startswith(b"HTTP/1.1 200 OK")


async def test_long_response_keeps_nothing_of_its_request() -> None:
    """Thousands of streams are open at once, and a browser's headers take 2 KB."""
    async with serving() as served, served.connected() as raw:
        await raw.send(b"GET /feed HTTP/1.1\r\nhost: here\r\ncookie: long\r\n\r\n")
        await raw.read_until(b"first")
        (connection,) = served.connections
        assert connection.scope is None
        assert connection.cycle.scope == {"method": "GET"}


async def test_client_that_pipelines_and_leaves_ends_what_it_was_sent() -> None:
    """uvicorn tells the newest of its requests alone."""
    async with serving() as served:
        async with served.connected() as raw:
            await raw.send(b"GET /feed" + HEAD + b"\r\n" + WHOLE)
            await raw.read_until(b"first")
        async with asyncio.timeout(LIMIT_S):
            await served.app.feed_left.wait()

        assert served.app.requests == ["/feed"]


async def test_client_that_pipelines_without_end_is_cut_off() -> None:
    """Its requests would wait here, each as large as a head may be."""
    async with serving() as served, served.connected() as raw:
        await raw.send((b"GET /feed" + HEAD + b"\r\n") * 12)
        async with asyncio.timeout(LIMIT_S):
            await served.app.feed_left.wait()
        await eventually(lambda: not served.state.connections, "gone")

        assert served.app.requests == ["/feed"]


@pytest.mark.parametrize(
    "sent",
    [b"GET /hello HTT", b"POST /hello" + HEAD + b"content-length: 9\r\n\r\n12"],
    ids=["head", "body"],
)
async def test_shutdown_refuses_a_request_that_is_not_whole(sent: bytes) -> None:
    """503, and the application's task ends by itself."""
    async with serving() as served, served.connected() as raw:
        await raw.send(sent)
        await eventually(
            lambda: any(each._head_bytes or each.cycle for each in served.connections), "begun"
        )
        await eventually(lambda: sent[:3] == b"GET" or bool(served.app.requests), "begun")
        (connection,) = served.connections
        connection.shutdown()

        assert refusal_of(await raw.read_all()) == (503, "draining")
        await eventually(lambda: not served.state.tasks, "ended")
        assert served.app.bodies == []


async def test_well_behaved_client_notices_nothing_of_others() -> None:
    """Its feed goes on while every bad request is made beside it."""

    async def misbehave(served: Served, case: Case) -> None:
        assert refusal_of(await served.ask(*case.pieces)) == (case.status, case.code)

    async with serving() as served, served.connected() as feed:
        await feed.send(b"GET /feed" + HEAD + b"\r\n")
        await feed.read_until(b"first")
        async with asyncio.TaskGroup() as tasks:
            for case in CASES.values():
                tasks.create_task(misbehave(served, case))

        assert not served.app.feed_left.is_set()
        assert (await served.ask(WHOLE)).startswith(b"HTTP/1.1 200 OK")
