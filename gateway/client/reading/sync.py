"""A session without `await`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Mapping

    from midstream.client.loop_thread import LoopThread
    from midstream.client.reading.records import Present, Sent, SessionEvent, Snapshot
    from midstream.client.reading.session import OnOpenRun, Session, T


class SyncSession:
    """`Session` without `await`: its methods block while those of `Session` wait."""

    def __init__(
        self, thread: LoopThread, opened: Callable[[], Awaitable[object]], session: Session
    ) -> None:
        """Use `MidstreamSync.session` instead."""
        self._thread = thread
        self._opened = opened
        self._session = session

    @property
    def id(self) -> str:
        """The session's id."""
        return self._session.id

    def snapshot(self) -> Snapshot:
        """Return the session as it is now; see `Session.snapshot`."""
        return self._call(self._session.snapshot())

    def presence(self) -> list[Present]:
        """Return who has the session open; see `Session.presence`."""
        return self._call(self._session.presence())

    def events(
        self, *, after: str | None = None, present: bool = False
    ) -> Generator[SessionEvent, None, None]:
        """Follow the session; see `Session.events`. A loop that is left early is closed with it."""
        events = self._session.events(after=after, present=present)
        try:
            while (event := self._call(_next(events))) is not None:
                yield event
        finally:
            with suppress(RuntimeError):  # the client is closed, and its connections with it
                self._thread.call(events.aclose())

    def send(
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
        """Send a message; see `Session.send`."""
        return self._call(
            self._session.send(
                text,
                message=message,
                agent=agent,
                model=model,
                on_active=on_active,
                request_id=request_id,
                body=body,
            )
        )

    def stop(self, *, run_id: str | None = None) -> list[str]:
        """Stop the run under way, or the one named; see `Session.stop`."""
        return self._call(self._session.stop(run_id=run_id))

    def delete(self) -> None:
        """Delete the session; see `Session.delete`."""
        self._call(self._session.delete())

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        async def opened() -> T:
            try:
                await self._opened()
            except BaseException:
                work.close()
                raise
            return await work

        return self._thread.call(opened())


async def _next(events: AsyncGenerator[SessionEvent, None]) -> SessionEvent | None:
    return await anext(events, None)
