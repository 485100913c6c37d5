"""The client for event loops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from midstream.client.reading.session import Session
from midstream.client.run import OnError, OnExit, Run
from midstream.client.wire import Gateways

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from midstream.client.attempt import OnRetry
    from midstream.client.reading.session import Token
    from midstream.protocol.requests import OnActive


class Midstream:
    """Writes runs into the sessions of a gateway, and reads them.

    Make one a process, with `async with`.

    Args:
        url: the address of a gateway, or of several over one Redis, tried in turn.
        key: an agent key; see `[agent_keys.NAME]` in docs/settings.md.
        outage_limit_s: how long a request is retried while no gateway answers. A gateway
            closes a run that is silent for a lease, 8 s by default.
        flush_interval_s: chunks within this interval share a request; the first is sent at
            once.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        *,
        key: str | None = None,
        outage_limit_s: float = 60.0,
        flush_interval_s: float = 0.05,
    ) -> None:
        urls = [url] if isinstance(url, str) else list(url)
        if not urls or not all(each.startswith(("http://", "https://")) for each in urls):
            raise ValueError("url must be the http:// or https:// address of a gateway, or several")
        self._gateways = Gateways(urls, key, outage_limit_s)
        self._flush_interval_s = flush_interval_s

    async def open(self) -> Self:
        """Open the client without a block. Call `close` at the end."""
        await self._gateways.open()
        return self

    async def close(self) -> None:
        """Close the connections. Runs whose block is still open end with their lease."""
        await self._gateways.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def run(
        self,
        session_id: str,
        *,
        key: str,
        text: str | None = None,
        message: Mapping[str, Any] | None = None,
        user: str | None = None,
        agent: str | None = None,
        on_retry: OnRetry = "replay",
        on_error: OnError = "fail",
        on_exit: OnExit = "end",
        on_active: OnActive = "refuse",
        attempt: int | None = None,
        steering: bool = False,
        lease_s: float | None = None,
        side: bool | str = False,
    ) -> Run:
        """Return a run to write, for an `async with` block, which begins with `Run.open`.

        Args:
            session_id: the AI SDK's chat id.
            key: the job's key: an attempt with the same key takes over the same run.
            text, message: a user's message, or an assistant's with the results of its tools.
            user: the user's `sub`. None: the owner of the session, which must exist.
            agent: the agent's name, for clients to show.
            on_retry: what follows a crash. `replay`: the body writes the same answer again; stored
                chunks are compared, and not sent. `continue`: it writes what follows `run.message`.
            on_error: the effect of an exception in the body, which propagates. `fail`: the run ends
                with an error. `leave`: it waits for the next attempt, until its lease ends.
            on_exit: `leave`: the body's end leaves the run open; see `Run.suspend`.
            on_active: another open run: `refuse` this (`run_active`), or `interrupt` that one.
            attempt: its number; one lower than was seen before is fenced.
            steering: the body reads what people say meanwhile; see `Run.take_steering`.
            lease_s: how long a silent run waits for the next attempt. None: `runs.lease_s`, 8 s.
            side: beside the main run, and for it, or for the run of this id: no part of the chat.
        """
        more = {"agent": agent, "attempt": attempt, "onActive": on_active, "onRetry": on_retry}
        more |= {"steering": steering or None, "side": side or None}
        return Run(
            self._gateways,
            session_id,
            _claim(session_id, key, text, message, lease_s, more),
            steering=steering,
            user=user,
            on_retry=on_retry,
            on_error=on_error,
            on_exit=on_exit,
            flush_interval_s=self._flush_interval_s,
        )

    def session(self, session_id: str, *, token: Token | None = None) -> Session:
        """Return a session to read, and to send to as a person does.

        Args:
            session_id: the AI SDK's chat id.
            token: of the person, or the service, that reads; with `auth.mode = "none"` it needs
                none. A function returns a fresh one for each request, so that a long reading
                outlives a token. Agent keys write runs, and do not read.
        """
        return Session(self._gateways, session_id, token)


def _claim(
    session_id: str,
    key: str,
    text: str | None,
    message: Mapping[str, Any] | None,
    lease_s: float | None,
    options: Mapping[str, object],
) -> dict[str, object]:
    """Return the body of a claim: the fields that have a value."""
    if (text is None) == (message is None):
        raise ValueError("a run answers either a text or a message")
    if isinstance(side := options.get("side"), str):
        options = {**options, "side": True, "parentRunId": side}
    lease_ms = None if lease_s is None else max(1, round(lease_s * 1000))
    asked = {"id": session_id, "key": key, "text": text, "message": message, "leaseMs": lease_ms}
    return {name: value for name, value in {**asked, **options}.items() if value is not None}
