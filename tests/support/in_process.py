"""A whole gateway in the test's own process, over a real Redis: requests cost milliseconds.

A test may leave a request after its first event, as a reader does.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any, Final

from tests.unit.gateway.api.fakes import Answer, http_scope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from midstream import Gateway

_CODE: Final = re.compile(rb'"code":"(\w+)"')
LIMIT_S: Final = 30


def code_of(body: bytes) -> str | None:
    """Return the code of the error in a response or a frame, if it is one."""
    found = _CODE.search(body.replace(b"\\", b""))
    return None if found is None else found[1].decode()


def _json(body: object) -> bytes:
    return json.dumps(body).encode()


class InProcess:
    """An open gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def ask(
        self,
        method: str,
        target: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        whole: bool = False,
    ) -> Answer:
        """Make a request; unless `whole`, leave a stream after its first event.

        As in a server each has a task of its own: what a request leaves in its task, such as a
        cancellation that came with its end, is nothing to later ones.
        """
        payload = b"" if body is None else body if isinstance(body, bytes) else _json(body)
        answer, left = Answer(), asyncio.Event()
        pending = [{"type": "http.request", "body": payload, "more_body": False}]

        async def receive() -> Any:
            if pending:
                return pending.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {k.decode(): v.decode() for k, v in message["headers"]}
                return
            answer.body += message.get("body", b"")
            answer.complete = not message.get("more_body", False)
            said = (line for line in answer.body.split(b"\n") if line and line[:1] != b":")
            if answer.complete or (any(said) and not whole):
                left.set()

        async with asyncio.timeout(LIMIT_S):
            await asyncio.create_task(
                self.gateway(http_scope(method, target, headers), receive, send)
            )
        return answer

    async def follow(self, target: str, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
        """Yield the body of a GET's answer, until left."""
        pieces: asyncio.Queue[bytes] = asyncio.Queue()
        left = asyncio.Event()

        async def receive() -> Any:
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            await pieces.put(message.get("body", b""))

        serving = asyncio.create_task(
            self.gateway(http_scope("GET", target, headers), receive, send)
        )
        try:
            while True:
                if piece := await pieces.get():
                    yield piece
        finally:
            left.set()
            await asyncio.wait({serving})

    async def frames(
        self, target: str, frame: Mapping[str, object], headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one frame on a WebSocket, and leave after the first answer, or its close."""
        answer, left = Answer(status=101), asyncio.Event()
        pending = [
            {"type": "websocket.receive", "text": json.dumps(frame), "bytes": None},
            {"type": "websocket.connect"},
        ]

        async def receive() -> Any:
            if pending:
                return pending.pop()
            await left.wait()
            return {"type": "websocket.disconnect", "code": 1000}

        async def send(message: Any) -> None:
            if message["type"] == "websocket.send":
                answer.body += message["text"].encode()
                left.set()
            elif message["type"] == "websocket.close":
                answer.body += b'{"code":"%b"}' % message["reason"].encode()
                left.set()

        scope = {**http_scope("GET", target, headers), "type": "websocket", "scheme": "ws"}
        del scope["method"]
        async with asyncio.timeout(LIMIT_S):
            await asyncio.create_task(self.gateway({**scope, "subprotocols": []}, receive, send))
        return answer

    def routes(self) -> set[str]:
        """Return every route that the application has, as `METHOD path`."""
        found = set()
        for route in self.gateway._asgi.app.routes:
            methods = getattr(route, "route_handler_map", None)
            kind = type(route).__name__.removesuffix("Route").upper()
            for method in methods or [kind]:
                found.add(f"{method} {route.path}")
        return {route for route in found if not route.startswith("OPTIONS ")}
