"""Opening of readers: the caller's rights, and the position to begin at."""

from __future__ import annotations

from contextlib import AsyncExitStack, nullcontext
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import UNSET

from midstream.errors import NotRecoveredError, RunNotFoundError
from midstream.sessions.access import not_found
from midstream.sessions.answerers.terms import encode_answered_by
from midstream.sessions.log.followers import FeedFollower
from midstream.sessions.log.own_sends import OwnSends
from midstream.sessions.log.readers import LogReader, ReaderLimits
from midstream.sessions.log.side_messages import marked_side, with_side
from midstream.sessions.log.stored_run import message_before
from midstream.sessions.places import branches, following, side_messages
from midstream.sessions.queued import Queue, entries_of
from midstream.sessions.sentences import run_not_found
from midstream.sessions.types import FeedEvent, Snapshot
from midstream.store.calls import DETECTION_S
from midstream.store.records import RunState
from midstream.telemetry import RESUMES

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from contextlib import AbstractAsyncContextManager

    from msgspec import Raw

    from midstream.ids import MessageId, RunId, SessionId
    from midstream.protocol.batch import ChunkBatch
    from midstream.protocol.position import Position
    from midstream.sessions.access import Caller
    from midstream.sessions.draining import Draining
    from midstream.sessions.log.hub import Hub
    from midstream.sessions.log.orphans import Orphans
    from midstream.sessions.log.presence import Presence
    from midstream.sessions.log.run_view import RunView
    from midstream.sessions.types import Probe
    from midstream.store.contract import SessionStore
    from midstream.store.records import SessionState

REACH_LIMIT_S: Final = DETECTION_S
"""Wait for a chunk that a client has and the log has not: until gateways know of a failover, and
the run's producer has appended it again."""


class Reading:
    """Opens readers.

    Args:
        orphans: told of runs that a snapshot shows and whose lease has ended.
    """

    def __init__(
        self,
        store: SessionStore,
        hub: Hub,
        presence: Presence,
        orphans: Orphans,
        draining: Draining,
        limits: ReaderLimits,
    ) -> None:
        self._store = store
        self._hub = hub
        self._presence = presence
        self._orphans = orphans
        self._own_sends = OwnSends(store)
        self._draining = draining
        self._limits = limits

    async def aclose(self) -> None:
        """Remove this process's marks of its readers."""
        await self._own_sends.aclose()

    # -- runs -----------------------------------------------------------------------------------

    async def of_own_send(
        self,
        view: RunView,
        client: str | None,
        resources: AsyncExitStack,
        *,
        first: ChunkBatch | None,
        answers: MessageId | None = None,
        expires_at: float | None = None,
    ) -> LogReader:
        """Return a reader of a send's run, from its first chunk on.

        Args:
            answers, expires_at: see LogReader.
            client: noted as the reader for as long as it reads; see `own_sends.py`.
            resources: ends with the reader; it holds the run's feed.
            first: the whole message, in the place of chunks that are not kept any more.
        """
        if client is not None:
            await resources.enter_async_context(self._own_sends.reading(view, client))
        cursor = 0 if first is None else view.next
        return self._reader(
            view,
            cursor,
            resources.pop_all(),
            first=first,
            answers=answers,
            expires_at=expires_at,
        )

    async def resume(
        self,
        caller: Caller,
        session_id: SessionId,
        *,
        run_id: RunId | None = None,
        after: int | None = None,
        raw: bool = False,
        probe: Probe | None = None,
    ) -> LogReader | None:
        """Return a reader of the run under way, or None if nothing runs."""
        try:
            reader = await self._resume(caller, session_id, run_id, after, raw=raw, probe=probe)
        except NotRecoveredError:
            RESUMES.labels("not_recovered").inc()
            raise
        except RunNotFoundError:
            if after is None or after < 0:
                return None
            RESUMES.labels("not_recovered").inc()
            # A 204 would tell a reader that has a part that it has everything.
            raise NotRecoveredError(
                "unable to continue this answer; the session was deleted or lost. Load it again"
            ) from None
        if reader is not None:
            RESUMES.labels("tail" if raw or after is not None else "state").inc()
        return reader

    async def _resume(
        self,
        caller: Caller,
        session_id: SessionId,
        run_id: RunId | None,
        after: int | None,
        *,
        raw: bool,
        probe: Probe | None,
    ) -> LogReader | None:
        meta = await self._store.load_meta(session_id)
        if meta is None or not caller.may_read(meta):
            raise run_not_found()
        wanted = run_id or meta.active_run_id or (meta.last_run_id if after is not None else None)
        if wanted is None:
            return None
        hold = self._hub.attach(session_id)
        async with AsyncExitStack() as resources:
            feed = await resources.enter_async_context(hold)
            view = await feed.view_of(wanted)
            if view.ended and after is None and not raw:
                return None
            first: ChunkBatch | None = None
            if after is None and not raw:

                def state() -> Awaitable[ChunkBatch]:
                    return self._so_far(view, session_id)

                if probe and not await self._own_sends.may_replay(view, probe, state):
                    return None
                first = await state()
                cursor = first.last + 1
            else:
                cursor = 0 if after is None else after + 1
                if cursor < 0 or not await view.reach(cursor, REACH_LIMIT_S):
                    raise NotRecoveredError(
                        "unable to continue after this chunk; the run does not have it",
                        runId=wanted,
                    )
                await view.probe(cursor)
            resources.pop_all()  # of which the reader keeps what there is: a stack takes 1 KB
            return self._reader(view, cursor, hold, first=first, expires_at=caller.expires_at)

    async def _so_far(self, view: RunView, session_id: SessionId) -> ChunkBatch:
        base = None
        if view.live is None:
            base = await message_before(self._store, session_id, view.info)
        return await view.replay(base)

    def _reader(
        self,
        view: RunView,
        cursor: int,
        hold: AbstractAsyncContextManager[object],
        *,
        first: ChunkBatch | None = None,
        answers: MessageId | None = None,
        expires_at: float | None = None,
    ) -> LogReader:
        return LogReader(
            view,
            cursor=cursor,
            first=first,
            answers=answers,
            expires_at=expires_at,
            hub=self._hub,
            draining=self._draining,
            limits=self._limits,
            hold=hold,
        )

    # -- sessions ------------------------------------------------------------------------------

    async def snapshot(
        self, caller: Caller, session_id: SessionId, *, side: bool = False
    ) -> Snapshot:
        """The session at one moment; `side`: with its side runs."""
        state = await self._store.load(session_id, with_queue=True)
        if state is None or not caller.may_read(state.meta):
            raise not_found()
        if state.run is not None and state.run_expired:
            self._orphans.meet(session_id, state.run.id)
        for found in state.beside:
            if found.expired:
                self._orphans.meet(session_id, found.run.id)
        return await self._shown(state, side=side)

    async def _shown(self, state: SessionState, *, side: bool) -> Snapshot:
        presence = await self._presence.of(state.meta.id)
        if not side:
            return snapshot_of(state, presence)
        wanted = side_messages(state)
        stored = await self._store.read_messages(state.meta.id, [id_ for id_, _ in wanted])
        beside = [
            (where, marked_side(stored[id_], where.run_id, where.parent_id))
            for id_, where in wanted
            if id_ in stored
        ]
        return with_side(snapshot_of(state, presence), state, beside)

    async def follow(
        self,
        caller: Caller,
        session_id: SessionId,
        after: Position | None,
        *,
        tabs: int = 1,
        side: bool = False,
    ) -> FeedFollower:
        """Follow a session; one that the caller may not see looks as if it never began."""
        name = caller.user

        async def event() -> FeedEvent:
            nonlocal name
            state = await self._store.load(session_id, with_queue=True)
            if state is None or not caller.may_read(state.meta):
                empty = msgspec.json.encode(Snapshot.empty(session_id))
                return FeedEvent("snapshot", empty, None)
            name = caller.name_in(state.meta.tenant)
            if state.run is not None:
                feed.hear_of(state.run.id, silent=state.run.silent)
            snapshot = await self._shown(state, side=side)
            return FeedEvent("snapshot", msgspec.json.encode(snapshot), state.meta.position)

        meta = await self._store.load_meta(session_id)
        if meta is None or not caller.may_read(meta):
            after = None
        else:
            name = caller.name_in(meta.tenant)
        async with AsyncExitStack() as resources:
            feed = await resources.enter_async_context(self._hub.attach(session_id))
            return FeedFollower(
                feed,
                self._store,
                position=after,
                side=side,
                snapshot=event,
                announce=lambda: (
                    self._presence.open(session_id, name, tabs) if tabs else nullcontext()
                ),
                draining=self._draining,
                limits=self._limits,
                resources=resources.pop_all(),
            )


def snapshot_of(state: SessionState, presence: Raw) -> Snapshot:
    """Return the snapshot of a state.

    The message that an open run writes is left out: a client that resumes gets it whole, and
    would show it twice.
    """
    run = state.run
    open_message = None if run is None or run.state is RunState.ENDED else run.message_id
    shown = [message for message in state.path if message.id != open_message]
    return Snapshot(
        id=state.meta.id,
        epoch=state.meta.position.epoch,
        offset=state.meta.position.offset,
        title=state.meta.title,
        messages=[message.message for message in shown],
        runs=[] if run is None else [run],
        queue=Queue.of(state.queue),
        steers=entries_of(state.steers),
        presence=presence,
        answered_by=encode_answered_by(state.meta.handoff),
        branches={id_: of for id_, of in branches(state).items() if id_ != open_message},
        following=following(state, shown) or UNSET,
    )
