"""A session for programs: look, follow, send, stop, delete."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from midstream.client.errors import RefusedError
from midstream.client.reading.feed import follow
from midstream.client.reading.records import Present, Sent, Snapshot

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from midstream.client.answers import Form
    from midstream.client.reading.records import SessionEvent
    from midstream.client.wire import Gateways, Headers

    Token: TypeAlias = str | Callable[[], str]

T = TypeVar("T")

OnOpenRun: TypeAlias = Literal["refuse", "interrupt", "queue"]

HELD_S: Final = 30.0
"""Time that a gateway may take beyond an answer's limit: a stop waits for the run's end, and a send
behind one for several."""


class Session:
    """A session of a gateway. It needs no closing: the client holds the connections.

    Every request is retried while no gateway answers, for the client's `outage_limit_s`, and none
    is carried out twice.

    Attributes:
        id: the AI SDK's chat id.
    """

    def __init__(self, gateways: Gateways, session_id: str, token: Token | None) -> None:
        """Use `Midstream.session` instead."""
        self.id = session_id
        self._gateways = gateways
        self._token = token
        self._path = f"/api/chat/{quote(session_id, safe='')}"

    async def snapshot(self) -> Snapshot:
        """Return the session as it is now.

        Raises:
            RefusedError: `session_not_found`: it does not exist, or is not this caller's.
            UnavailableError, NotAGatewayError: as of every request.
        """
        return await self._ask("GET", self._path, Snapshot)

    async def presence(self) -> list[Present]:
        """Return who has the session open; nobody, if it does not exist yet."""
        return (await self._ask("GET", f"{self._path}?orEmpty=true", Snapshot)).presence

    def events(
        self, *, after: str | None = None, present: bool = False
    ) -> AsyncGenerator[SessionEvent, None]:
        """Follow the session: every change, once and in order, over lost connections.

            async with aclosing(session.events()) as events:
                async for event in events: ...

        `aclosing` (contextlib) closes the connection when the loop is left early. The first event
        is a `SnapshotEvent`, also of a session that does not exist yet. A later one replaces what
        was there: the log could not be continued, or has changed before its end.

        Args:
            after: an event's or a snapshot's `position`: only what follows it.
            present: count as a tab of the caller's, which others see.

        Raises:
            RefusedError: the session may not be read, or the token has ended.
            UnavailableError: no gateway has answered for the client's `outage_limit_s`.
        """
        path = f"{self._path}/events"
        return follow(self._gateways, path, self._headers, after=after, present=present)

    async def send(
        self,
        text: str | None = None,
        *,
        message: Mapping[str, Any] | None = None,
        agent: str | None = None,
        model: str | None = None,
        on_active: OnOpenRun = "refuse",
        request_id: str | None = None,
        body: Mapping[str, object] | None = None,
    ) -> Sent:
        """Send a message, as a person does; its answer is in `events`.

        Returns once the run is open, or the message waits in the queue.

        Args:
            text: the message as text, or
            message: as a UIMessage; with the id of one that is there, an edit of it.
            agent: who answers; None: the gateway's default.
            on_active: what becomes of it while another answer is written: `refuse`
                (`RefusedError`, code `run_active`), `interrupt` that one, or `queue`.
            request_id: the same one again, from any process, is the same send.
            body: further fields for the agent.

        Raises:
            RefusedError: see above, and docs/errors.md.
            UnavailableError: it may have arrived; send it again with the same `request_id`, and a
                message with the same id.
        """
        if (text is None) == (message is None):
            raise ValueError("a send has either a text or a message")
        said = {"role": "user", "parts": [{"type": "text", "text": text}]}
        given: dict[str, Any] = {"id": f"msg-{secrets.token_hex(12)}", **(message or said)}
        asked = {
            **(body or {}),
            "id": self.id,
            "message": given,
            "trigger": "submit-message",
            "onActive": on_active,
            "requestId": request_id or secrets.token_hex(12),
        }
        asked |= {name: value for name, value in (("agent", agent), ("model", model)) if value}
        answer = await self._ask("POST", "/api/chat", _SendAnswer, asked, form="run")
        place = answer.queued
        return Sent(
            message_id=given["id"],
            run_id=answer.run_id,
            position=0 if place is None else place.position,
        )

    async def stop(self, *, run_id: str | None = None) -> list[str]:
        """Stop the run under way, or the one named; return the runs that have ended by it."""
        asked = {} if run_id is None else {"runId": run_id}
        return (await self._ask("POST", f"{self._path}/stop", _Stopped, asked)).stopped

    async def delete(self) -> None:
        """Stop what runs, and delete the session with all its messages.

        A session that does not exist, or that the caller may not see, is no error: a repeated
        request could not tell it from one that it has deleted.
        """
        try:
            await self._ask("DELETE", self._path, _Deleted, form="nothing")
        except RefusedError as error:
            if error.code != "session_not_found":
                raise

    async def _ask(
        self,
        method: str,
        target: str,
        kind: type[T],
        body: Mapping[str, object] | None = None,
        *,
        form: Form = "json",
    ) -> T:
        content = b"" if body is None else msgspec.json.encode(body)
        return await self._gateways.request(
            method, target, content, kind, headers=self._headers(), form=form, held_s=HELD_S
        )

    def _headers(self) -> Headers:
        token = self._token() if callable(self._token) else self._token
        headers = {b"prefer": b"respond-async"}
        return (
            headers if token is None else {**headers, b"authorization": b"Bearer " + token.encode()}
        )


class _Place(Struct):
    position: int


class _SendAnswer(Struct, rename="camel"):
    run_id: str | None = None
    queued: _Place | None = None


class _Stopped(Struct):
    stopped: list[str]


class _Deleted(Struct):
    pass
