"""Response of a proxied request, and a block that is cancelled when its caller leaves."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from midstream.api.proxy.body import GoneError
from midstream.api.proxy.errors import error_answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from litestar.types import Send

    from midstream.aio.idle_timeout import IdleTimeout
    from midstream.api.proxy.body import RequestBody
    from midstream.errors import GatewayError
    from midstream.providers.passthrough.api import ProxyVendor


NOT_BUFFERED: Final = (b"x-accel-buffering", b"no")


class ProxyExchange:
    """The response of one request, written to the server; each write has a time limit."""

    def __init__(self, send: Send, deadline: IdleTimeout) -> None:
        self.started = False
        self._send = send
        self._writing = deadline.waiter()

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Send the head; of a stream, with the header that turns off buffering in nginx."""
        self.started = True
        names = {name.lower(): value for name, value in headers}
        if names.get(b"content-type", b"").startswith(b"text/event-stream"):
            headers = [*headers, *([] if NOT_BUFFERED[0] in names else [NOT_BUFFERED])]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes, *, more: bool = True) -> None:
        """Send a piece of the body.

        Raises:
            GoneError: the caller does not read.
        """
        try:
            with self._writing:
                await self._send({"type": "http.response.body", "body": data, "more_body": more})
        except TimeoutError:
            raise GoneError("slow") from None

    def close(self) -> None:
        """End the writes."""
        self._writing.close()

    async def refuse(self, error: GatewayError, vendor: ProxyVendor) -> None:
        """Send one of our errors as the whole response."""
        status, headers, body = error_answer(error, vendor)
        await self.start(status, headers)
        await self.write(body, more=False)


@asynccontextmanager
async def while_there(body: RequestBody) -> AsyncIterator[None]:
    """Cancel the block when the caller leaves.

    Raises:
        GoneError: it did.
    """

    async def watch() -> None:
        await body.until_gone()
        raise GoneError("disconnected")

    try:
        async with asyncio.TaskGroup() as tasks:
            watcher = tasks.create_task(watch(), name="watch-proxy-caller")
            yield
            watcher.cancel()
    except BaseExceptionGroup as group:
        raise _first(group) from None


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that ended a block: its own before the watcher's."""
    errors = group.exceptions
    error = next((each for each in errors if not isinstance(each, GoneError)), errors[0])
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
