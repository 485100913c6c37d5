"""Sends requests to the first gateway that answers. Each may be retried unchanged."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from msgspec import UNSET, Raw, Struct, UnsetType

from midstream.client.answers import (
    Form,
    Head,
    not_a_gateway,
    read_answer,
    read_refusal,
    refusal_of_none,
    wrong_protocol,
)
from midstream.client.errors import UnavailableError
from midstream.client.hangups import Hangups

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence

    import httpx2

    Headers: TypeAlias = Mapping[bytes, bytes]

T = TypeVar("T")

CONNECT_LIMIT_S: Final = 5.0
ANSWER_LIMIT_S: Final = 10.0
"""Limit of a request, beyond the time that it is held; a gateway waits half of it for Redis."""

DELAYS_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Delays between attempts; short enough that a run's lease (8 s) does not end meanwhile."""

END_LIMIT_S: Final = 5.0
"""Limit for the requests that a cancelled task must still send, so that its caller can end."""

_NOT_OPEN: Final = "the client is not open; use it as `async with Midstream(...)`"


class Claim(Struct, kw_only=True, rename="camel"):
    """Answer to a claim; see docs/http-api.md."""

    run_id: str
    message_id: str
    fence: int = 0
    next: int = 0
    lease_ms: int = 8_000
    max_bytes: int = 8 * 1024 * 1024
    chunks: list[Raw] = []
    message: Raw | UnsetType = UNSET
    messages: list[Raw] = []
    stopped_by: str | None = None
    outcome: str | None = None


class Stored(Struct, kw_only=True, rename="camel"):
    """Answer to an append, a renewal or an end."""

    next: int = 0
    stopped_by: str | None = None
    steers: list[Raw] = []


class Gateways:
    """One or more addresses of gateways over one Redis.

    Args:
        key: an agent key.
        outage_limit_s: how long a request is retried, and an attribute.
    """

    def __init__(self, urls: Sequence[str], key: str | None, outage_limit_s: float) -> None:
        self._urls = [url.rstrip("/") for url in urls]
        self._headers = {} if key is None else {"x-midstream-key": key}
        self.outage_limit_s = outage_limit_s
        self._at = 0
        self._known: set[int] = set()
        self._http: httpx2.AsyncClient | None = None
        self._opening = asyncio.Lock()
        self._late: set[asyncio.Task[None]] = set()
        self._asked: set[asyncio.Task[Any]] = set()

    def _connect(self) -> httpx2.AsyncClient:
        import httpx2

        return httpx2.AsyncClient(
            headers=self._headers,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=100),
        )

    async def open(self) -> None:
        """Make the HTTP client; nothing is sent yet."""
        async with self._opening:
            if self._http is None:
                # It imports the library and reads certificates: not on the event loop.
                self._http = await asyncio.to_thread(self._connect)

    async def close(self) -> None:
        """Cancel every request and close every connection, once `see_through` has ended."""
        try:
            if self._late:
                await asyncio.wait(self._late, timeout=END_LIMIT_S)
        finally:
            for task in self._late:
                task.cancel()
            async with self._opening:
                http, self._http = self._http, None
            if http is not None:
                try:
                    await self._cancel_requests()
                finally:
                    await http.aclose()

    async def _cancel_requests(self) -> None:
        """End the requests before their pool.

        A pool that is closed forgets the connections that are still being made. Their
        requests would be answered, and nothing would close them.
        """
        for request in self._asked:
            request.cancel()
        if self._asked:
            await asyncio.wait(self._asked, timeout=END_LIMIT_S)

    async def see_through(self, work: Coroutine[None, None, None]) -> None:
        """Do work that must be done even if its task is cancelled.

        Waits at most `END_LIMIT_S`; the work then continues until the client is closed.
        """
        task = asyncio.create_task(work, name="midstream see through")
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        await asyncio.wait({task}, timeout=END_LIMIT_S)

    async def post(
        self,
        target: str,
        content: bytes,
        kind: type[T],
        *,
        user: str | None,
        held_s: float = 0.0,
        limit_s: float | None = None,
        given_up: asyncio.Event | None = None,
    ) -> T:
        """Send what a worker says; see `request`.

        Args:
            user: for whom the worker acts.
        """
        headers = {} if user is None else {b"x-midstream-user": user.encode()}
        return await self.request(
            "POST",
            target,
            content,
            kind,
            headers=headers,
            held_s=held_s,
            limit_s=limit_s,
            given_up=given_up,
        )

    async def request(
        self,
        method: str,
        target: str,
        content: bytes,
        kind: type[T],
        *,
        headers: Headers,
        form: Form = "json",
        held_s: float = 0.0,
        limit_s: float | None = None,
        given_up: asyncio.Event | None = None,
    ) -> T:
        """Send a request, with retries, until it is answered; return the answer.

        Args:
            target: path and query.
            kind: the answer's type.
            form: what a gateway answers with; see `Form`.
            held_s: how long the gateway may hold the request.
            limit_s: replaces `outage_limit_s`.
            given_up: once set, only a request that may have arrived is retried.

        Raises:
            RefusedError, NotAGatewayError, UnavailableError.
        """
        import httpx2

        until = time.monotonic() + (self.outage_limit_s if limit_s is None else limit_s)
        attempts, arrived, hangups = 0, False, Hangups()
        while True:
            at, asked_at = self._at, time.monotonic()
            try:
                url, http = self._urls[at] + target, self._opened()
                sending = _exchange(http, method, url, content, headers, held_s)
                return self._answer(at, *await self._send(sending), kind, form)
            except httpx2.TransportError as error:
                if at not in self._known:
                    await self._suspect(at, error, hangups, asked_at)
                why = _reason_of(error)
                arrived |= not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
            except AwayError as away:
                why, arrived = str(away), True
                hangups.forget(self._urls[at])
            self._turn_from(at)
            in_time = await delayed(attempts, until)
            attempts += 1
            unwanted = given_up is not None and given_up.is_set() and not arrived
            if unwanted or not in_time:
                raise UnavailableError(f"unable to reach a gateway; {why[:300]}")

    async def _suspect(
        self, at: int, error: httpx2.TransportError, hangups: Hangups, asked_at: float
    ) -> None:
        """Examine the failure of an address at which no gateway has answered yet.

        Raises:
            NotAGatewayError: no gateway fails like this.
        """
        import httpx2

        url = self._urls[at]
        wrong = wrong_protocol(url, error)
        if isinstance(error, httpx2.NetworkError | httpx2.RemoteProtocolError) and not isinstance(
            error, httpx2.ConnectError
        ):
            wrong = wrong or await hangups.look_at(url, asked_at=asked_at)
        else:
            hangups.forget(url)
        if wrong is not None:
            raise wrong from error

    @asynccontextmanager
    async def listen(
        self, target: str, *, headers: Headers, silence_s: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a stream at the present address, once; the block reads its bytes.

        Args:
            target: path and query.
            silence_s: a stream that brings nothing for so long is lost.

        Raises:
            AwayError: no gateway answers, or the stream has broken off. The next address is
                tried then.
            RefusedError: the gateway refuses the request.
            NotAGatewayError: something else answers at the address.
        """
        import httpx2

        at, http = self._at, self._opened()
        limits = httpx2.Timeout(ANSWER_LIMIT_S, read=silence_s, connect=CONNECT_LIMIT_S)
        request = http.build_request(
            "GET", self._urls[at] + target, headers=headers, timeout=limits
        )
        try:
            answer = await self._send(http.send(request, stream=True))
            try:
                head = Head(answer.status_code, answer.headers)
                if not head.is_stream:
                    self._answer(at, head, await answer.aread() if head.is_json else b"", Struct)
                    raise AwayError(f"the address answered with {head}")
                self._known.add(at)
                yield answer.aiter_bytes()
            finally:
                await answer.aclose()
        except AwayError:
            self._turn_from(at)
            raise
        except httpx2.TransportError as error:
            wrong = None if at in self._known else wrong_protocol(self._urls[at], error)
            if wrong is not None:
                raise wrong from error
            self._turn_from(at)
            raise AwayError(_reason_of(error)) from error

    def _turn_from(self, at: int) -> None:
        """Go on to the next address, unless another request has."""
        if self._at == at:
            self._at = (at + 1) % len(self._urls)

    def _opened(self) -> httpx2.AsyncClient:
        if self._http is None:
            raise RuntimeError(_NOT_OPEN)
        return self._http

    async def _send(self, exchange: Coroutine[Any, Any, T]) -> T:
        """Send once, in a task that `close` can cancel.

        Raises:
            RuntimeError: the client was closed meanwhile.
        """
        request = asyncio.create_task(exchange)
        self._asked.add(request)
        request.add_done_callback(self._asked.discard)
        caller = asyncio.current_task()
        cancels = 0 if caller is None else caller.cancelling()
        try:
            return await request
        except asyncio.CancelledError:
            if caller is not None and caller.cancelling() > cancels:
                raise
            raise RuntimeError(_NOT_OPEN) from None

    def _answer(self, at: int, head: Head, body: bytes, kind: type[T], form: Form = "json") -> T:
        """Return a gateway's answer, or raise the error that it means.

        Raises:
            AwayError: the gateway is away.
            RefusedError: the gateway, or a server in front of it, refuses the request.
            NotAGatewayError: something else has answered.
        """
        if head.has(form):
            answer = read_answer(body or head.as_json, kind)
            if answer is not None:
                self._known.add(at)
                return answer
        refusal = read_refusal(head, body) if head.is_json else None
        if refusal is not None:
            self._known.add(at)
            if head.status >= 500:
                raise AwayError(refusal.message)
            raise refusal
        known = at in self._known
        if head.is_away(known=known):
            raise AwayError(f"the address answered with {head}")
        raise refusal_of_none(head) if known else not_a_gateway(self._urls[at], head)


async def _exchange(
    http: httpx2.AsyncClient,
    method: str,
    url: str,
    content: bytes,
    headers: Headers,
    held_s: float,
) -> tuple[Head, bytes]:
    """Send a request; the body of its answer is read only if a gateway may have sent it."""
    import httpx2

    limits = httpx2.Timeout(ANSWER_LIMIT_S + held_s, connect=CONNECT_LIMIT_S)
    async with http.stream(method, url, content=content, headers=headers, timeout=limits) as answer:
        head = Head(answer.status_code, answer.headers)
        try:
            return head, await answer.aread() if head.is_json else b""
        except httpx2.TransportError as error:
            raise AwayError("the answer broke off") from error


class AwayError(Exception):
    """The gateway cannot answer now; the text describes the answer that came instead."""


def _reason_of(error: httpx2.TransportError) -> str:
    import httpx2

    timed_out = isinstance(error, httpx2.TimeoutException)
    return str(error) or f"none answered{' in time' if timed_out else ''}"


async def delayed(attempts: int, until: float) -> bool:
    """Wait before the next attempt; return False, at once, if that would be too late."""
    delay_s = DELAYS_S[min(attempts, len(DELAYS_S) - 1)] * random.uniform(0.5, 1)  # noqa: S311 - no secret
    if time.monotonic() + delay_s > until:
        return False
    await asyncio.sleep(delay_s)
    return True
