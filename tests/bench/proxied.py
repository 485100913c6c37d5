"""Measures calls through `/proxy`: a delta's added latency, and the cost of a session."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias

from tests.bench.clients import post, send_message
from tests.bench.report import Target, compared_rounds
from tests.bench.servers import MIDSTREAM, PROXY
from tests.bench.streams import (
    FEW_STREAMS,
    RATE,
    WARM_STREAMS,
    base_target,
    in_rounds,
    stream,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.bench.report import Row
    from tests.bench.servers import Server, Servers
    from tests.bench.streams import Window

RUN: Final = "an agent's run"

_SESSION_OF: Final = "with a session"

Way: TypeAlias = "tuple[Server, Callable[[str, str], bytes]]"

_SESSION: Final = b"\r\nx-midstream-session: %b\r\n"


def call(_: str, plan: str) -> bytes:
    """Return a call as an SDK makes it."""
    message = {"role": "user", "content": f"plan {plan}"}
    body = {"model": "bench", "max_tokens": 9, "stream": True, "messages": [message]}
    return post("/proxy/anthropic/v1/messages", body)


def call_of_litellm(chat_id: str, plan: str) -> bytes:
    """Return the same call to LiteLLM: its Anthropic endpoint, its own path."""
    return call(chat_id, plan).replace(b"/proxy/anthropic/v1/messages", b"/v1/messages", 1)


def call_of_session(chat_id: str, plan: str) -> bytes:
    """Return the same call, with the header that makes it a run."""
    return call(chat_id, plan).replace(b"\r\n", _SESSION % chat_id.encode(), 1)


async def measure_proxied(servers: Servers) -> list[Row]:
    """Return latency and cost of plain calls, and of calls that name a session."""
    with ExitStack() as stack:
        ours, *base = stack.enter_context(servers.gateways())
        litellm = stack.enter_context(servers.litellm())
        proxy = stack.enter_context(servers.proxy())
        ways: dict[str, Way] = {MIDSTREAM: (ours, call), PROXY: (proxy, call)}
        ways |= {each.name: (each, call_of_litellm) for each in litellm}
        ways |= {_SESSION_OF: (ours, call_of_session), RUN: (ours, send_message)}
        ways |= {each.name: (each, call_of_session) for each in base}
        named = [replace(server, name=name) for name, (server, _) in ways.items()]

        async def measured(way: Server) -> Window:
            return await stream(servers, way, FEW_STREAMS, request_of=ways[way.name][1])

        for each in named:
            await stream(servers, each, WARM_STREAMS, request_of=ways[each.name][1])
        windows = await in_rounds(servers, named, measured)
    return _rows(windows, [each.name for each in litellm], [each.name for each in base])


def _rows(
    windows: Mapping[str, Sequence[Window]], litellm: Sequence[str], base: Sequence[str]
) -> list[Row]:
    plain, session = windows[MIDSTREAM], windows[_SESSION_OF]
    what = f"{FEW_STREAMS} streams at {RATE}/s"
    rows = [
        compared_rounds(
            f"a proxied call's latency, {what}, {name}",
            "ms",
            [getattr(window, f"{name}_ms") for window in plain],
            other,
            [getattr(window, f"{name}_ms") for window in windows[other]],
            Target(limit_ms, "value") if other == PROXY else None,
        )
        for name, limit_ms in (("p50", 1.0), ("p99", 5.0))
        for other in (PROXY, *litellm)
    ]
    rows += [
        compared_rounds(
            f"CPU a chunk of a proxied call, {what}",
            "µs",
            [window.cpu_us for window in plain],
            other,
            [window.cpu_us for window in windows[other]],
        )
        for other in (PROXY, *litellm)
    ]
    return rows + [
        compared_rounds(
            "… with a session",
            "µs",
            [window.cpu_us for window in session],
            other,
            [window.cpu_us for window in windows[other]],
            target,
        )
        for other, target in (
            (RUN, Target(1, "ratio")),
            *((other, base_target(other, 0.6)) for other in base),
        )
    ]
