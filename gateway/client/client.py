"""The client for event loops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from midstream.client.run import OnError, Run
from midstream.client.wire import Gateways

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from midstream.client.attempt import OnRetry
    from midstream.protocol.requests import OnActive


class Midstream:
    """Writes runs into the sessions of a gateway: one for a process, used as `async with`.

    Args:
        url: of a gateway, or of several over the same sessions, tried in turn.
        key: an agent key of theirs; see `[agent_keys.NAME]` in docs/settings.md.
        outage_limit_s: how long a request is retried while no gateway answers. A gateway ends
            runs whose worker is silent for a lease, 8 s by default.
        flush_interval_s: chunks within it go in one request; the first one at once.
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
        """Open the client, for use without a block; `close` it at the end."""
        await self._gateways.open()
        return self

    async def close(self) -> None:
        """Close its connections. Runs that were not left end when their lease runs out."""
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
        on_active: OnActive = "refuse",
    ) -> Run:
        """Return a run to write, in an `async with` block.

        Args:
            session_id: the AI SDK's chat id.
            key: of the job: an attempt with the same key continues the same run. Its
                characters are those of ids.
            text: the user's message as text, or
            message: their message, a UIMessage; or an assistant's whose tools were answered.
            user: the `sub` of the user's tokens. None: the owner of a session that exists.
            agent: the agent's name, for clients to show.
            on_retry: how an attempt proceeds after an earlier one that crashed. `replay`: it
                writes the same again, and stored chunks are compared and not sent again.
                `continue`: it reads `run.message`, and writes the rest.
            on_error: the effect of an exception in the body, besides leaving it. `fail`: the run
                ends with an error. `leave`: the run waits for the next attempt, until its lease
                runs out.
            on_active: if the session has another run under way: `refuse`
                (`RefusedError`, code `run_active`) or `interrupt` it.
        """
        if (text is None) == (message is None):
            raise ValueError("a run answers either a text or a message")
        claim: dict[str, object] = {"id": session_id, "key": key, "onActive": on_active}
        claim |= {"text": text} if message is None else {"message": message}
        if agent is not None:
            claim["agent"] = agent
        return Run(
            self._gateways,
            session_id,
            claim,
            user=user,
            on_retry=on_retry,
            on_error=on_error,
            flush_interval_s=self._flush_interval_s,
        )
