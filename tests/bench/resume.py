"""Measures the resume of a long answer: the time until the whole state is there, and its size."""

from __future__ import annotations

import asyncio
import json
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.bench.clients import (
    Client,
    Tally,
    all_streaming,
    ask,
    connect,
    ended,
    get,
    now_us,
    resume,
    send_message,
)
from tests.bench.report import Row, Target
from tests.bench.servers import NODE
from tests.bench.streams import new_chat
from tests.support.processes import eventually

if TYPE_CHECKING:
    from tests.bench.builds import Build
    from tests.bench.servers import Server, Servers

CHUNKS: Final = 10_000
_RATE: Final = 1_500
"""Deltas a second: nearly every chunk gets a record of its own, and the answer takes 7 s."""
_TIMES: Final = 9
LAST: Final = b" LAST"
_PAUSE_S: Final = 0.2
"""Pause between resumes, in which the other gateway drops the session, so that each is cold."""


@dataclass(frozen=True)
class Resumed:
    """One resume.

    Attributes:
        took_ms: time from the request to the last delta. The first byte says little: it may be
            a heartbeat before anything is read.
        received: bytes, those of HTTP included.
    """

    took_ms: float
    received: int


async def measure_resume(servers: Servers) -> list[Row]:
    """Return a resume's time and size, at the producer, at another gateway, and at the peer."""
    chat = new_chat()
    with servers.gateway() as gateway, servers.gateway() as other_gateway:
        writer = await long_answer(gateway, chat)
        here = await _resumes(gateway, chat)
        elsewhere = await _resumes(other_gateway, chat)
        await servers.finish_answers()
        await ended(writer)
        message = await _message_bytes(gateway, chat)
    base = None if servers.plan.base is None else await _resumes_of_base(servers, servers.plan.base)
    with servers.node() as node:
        writer = await long_answer(node, chat)
        peer = await _resumes(node, chat)
        await servers.finish_answers()
        await ended(writer)
    what = f"resume of {CHUNKS:,} chunks"
    return [
        _row(f"{what}, where it is produced", here.took_ms, peer.took_ms, 1.5),
        _row(f"{what}, on another gateway", elsewhere.took_ms, peer.took_ms, 15),
        *([] if base is None else _beside_base(here, elsewhere, *base)),
        Row(
            "… bytes, of the message's own",
            elsewhere.received / message,
            "×",
            NODE,
            peer.received / message,
            target=Target(1.2, "value"),
        ),
    ]


async def _resumes_of_base(servers: Servers, build: Build) -> tuple[Resumed, Resumed, str]:
    """Return the same of another build: here, elsewhere, and its name."""
    chat = new_chat()
    with servers.gateway(build=build) as gateway, servers.gateway(build=build) as other_gateway:
        writer = await long_answer(gateway, chat)
        here = await _resumes(gateway, chat)
        elsewhere = await _resumes(other_gateway, chat)
        await servers.finish_answers()
        await ended(writer)
    return here, elsewhere, build.name


def _beside_base(
    here: Resumed, elsewhere: Resumed, base_here: Resumed, base_elsewhere: Resumed, name: str
) -> list[Row]:
    return [
        Row(f"… {where}", ours.took_ms, "ms", name, base.took_ms)
        for where, ours, base in (
            ("where it is produced", here, base_here),
            ("on another gateway", elsewhere, base_elsewhere),
        )
    ]


def _row(figure: str, ours_ms: float, peer_ms: float, limit_ms: float) -> Row:
    return Row(figure, ours_ms, "ms", NODE, peer_ms, target=Target(limit_ms, "value"))


async def long_answer(server: Server, chat: str) -> list[Client]:
    """Start a long answer; return once all of it has arrived, with the run still open."""
    tally = Tally()
    request = send_message(chat, f"rate={_RATE} deltas={CHUNKS}")
    clients = await connect(server.port, [request], tally)
    await all_streaming(clients)
    await eventually(lambda: tally.chunks >= CHUNKS, "all chunks", CHUNKS / _RATE * 6)
    return clients


async def _resumes(server: Server, chat: str) -> Resumed:
    """Resume several times; return the medians."""
    each = []
    for _ in range(_TIMES):
        each.append(await _resume(server, chat))
        await asyncio.sleep(_PAUSE_S)
    return Resumed(statistics.median(one.took_ms for one in each), each[-1].received)


async def _resume(server: Server, chat: str) -> Resumed:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=2**22)
    asked_at = now_us()
    writer.write(resume(chat))
    received, tail = 0, b""
    async with asyncio.timeout(20):
        while LAST not in tail:
            data = await reader.read(2**20)
            received += len(data)
            tail = tail[-len(LAST) :] + data
            if not data:
                raise ConnectionError(f"the resume ended early: {tail[-200:]!r}")
    took_ms = (now_us() - asked_at) / 1000
    writer.transport.abort()
    return Resumed(took_ms, received)


async def _message_bytes(server: Server, chat: str) -> int:
    """Return the size of the finished message, as JSON."""
    answer = await ask(server.port, get(f"/api/chat/{chat}"))
    session = json.loads(answer.partition(b"\r\n\r\n")[2])
    message = session["messages"][-1]
    assert message["role"] == "assistant", message["role"]
    return len(json.dumps(message, separators=(",", ":")))
