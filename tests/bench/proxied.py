"""Measures calls through `/proxy`: a delta's added latency, and the cost of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.bench.clients import post, send_message
from tests.bench.report import Target, compared_rounds
from tests.bench.servers import PROXY
from tests.bench.streams import FEW_STREAMS, RATE, ROUNDS, WARM_STREAMS, Window, stream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.bench.report import Row
    from tests.bench.servers import Server, Servers

RUN: Final = "an agent's run"

_SESSION: Final = b"\r\nx-midstream-session: %b\r\n"


def call(_: str, plan: str) -> bytes:
    """Return a call as an SDK makes it."""
    message = {"role": "user", "content": f"plan {plan}"}
    body = {"model": "bench", "max_tokens": 9, "stream": True, "messages": [message]}
    return post("/proxy/anthropic/v1/messages", body)


def call_of_session(chat_id: str, plan: str) -> bytes:
    """Return the same call, with the header that makes it a run."""
    return call(chat_id, plan).replace(b"\r\n", _SESSION % chat_id.encode(), 1)


async def measure_proxied(servers: Servers) -> list[Row]:
    """Return latency and cost of plain calls, and of calls that name a session."""
    with servers.gateway() as gateway, servers.proxy() as proxy:
        ways: list[tuple[Server, Callable[[str, str], bytes]]] = [
            (gateway, call),
            (gateway, call_of_session),
            (gateway, send_message),
            (proxy, call),
        ]
        for server, request_of in ways:
            await stream(servers, server, WARM_STREAMS, request_of=request_of)
        rounds: Sequence[Sequence[Window]] = [
            [
                await stream(servers, server, FEW_STREAMS, request_of=request_of)
                for server, request_of in ways
            ]
            for _ in range(ROUNDS)
        ]
    plain, session, run, copied = zip(*rounds, strict=True)
    what = f"{FEW_STREAMS} streams at {RATE}/s"
    rows = [
        compared_rounds(
            f"a proxied call's latency, {what}, {name}",
            "ms",
            [getattr(window, f"{name}_ms") for window in plain],
            PROXY,
            [getattr(window, f"{name}_ms") for window in copied],
            Target(limit_ms, "value"),
        )
        for name, limit_ms in (("p50", 1.0), ("p99", 5.0))
    ]
    return [
        *rows,
        compared_rounds(
            f"CPU a chunk of a proxied call, {what}",
            "µs",
            [window.cpu_us for window in plain],
            PROXY,
            [window.cpu_us for window in copied],
        ),
        compared_rounds(
            "… with a session",
            "µs",
            [window.cpu_us for window in session],
            RUN,
            [window.cpu_us for window in run],
            Target(1, "ratio"),
        ),
    ]
