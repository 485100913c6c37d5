"""Export of all sessions of a user, a line of JSON each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw, Struct

from midstream.sessions.queued import QueueEntry, entries_of
from midstream.sessions.user_data.listing import sessions_of
from midstream.sessions.user_data.rights import check_user
from midstream.store.records import RunInfo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Self

    from midstream.ids import MessageId, SessionId, TenantId, UserId
    from midstream.sessions.access import Caller
    from midstream.store.contract import SessionStore
    from midstream.store.records import SessionState, StoredMessage

FORMAT: Final = 1


class ExportedMessage(Struct, frozen=True, rename="camel"):
    """A message on any branch. `parent_id`: the message that it follows; null: it is the first."""

    parent_id: str | None
    message: Raw


class ExportedSession(Struct, frozen=True, kw_only=True, rename="camel", tag="session"):
    """One session: its messages, those that the model was shown last first; and what waits.

    `head`: the last message that is shown. `run`: the newest run; the words of one that is open
    are in the log, and not here yet.
    """

    id: str
    title: str
    created_at_ms: int
    updated_at_ms: int
    head: str | None
    run: RunInfo | None
    messages: Sequence[ExportedMessage]
    queue: Sequence[QueueEntry]
    unsent: Sequence[QueueEntry]
    steers: object


class ExportEnd(Struct, frozen=True, tag="end"):
    """The last line: without it the export was cut off."""

    format: int
    sessions: int


class UserExport:
    """The lines of one user's export, as a reader of a response. See `Reader`."""

    def __init__(self, store: SessionStore, sessions: Sequence[SessionId]) -> None:
        self._store = store
        self._sessions = sessions

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Nothing is held."""

    def write_to(self, sink: Callable[[bytes], bool]) -> None:
        """Leave it to the reader's task: a session is read when the one before has been sent."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield a line for each session, and the last one.

        Raises:
            StoreUnavailableError: Redis cannot be reached.
        """
        count = 0
        for session_id in self._sessions:
            if (found := await exported(self._store, session_id)) is not None:
                count += 1
                yield msgspec.json.encode(found) + b"\n"
        yield msgspec.json.encode(ExportEnd(FORMAT, count)) + b"\n"


class Exports:
    """Opens exports."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    async def open(self, caller: Caller, user: UserId, tenant: TenantId) -> UserExport:
        """Return an export of the sessions that the user has begun before now.

        Raises:
            ForbiddenError, InvalidRequestError: see `check_user`.
            StoreUnavailableError: a part of them cannot be reached.
        """
        check_user(caller, user, tenant)
        now_ms = time.time() * 1000
        sessions = await sessions_of(self._store, user, tenant, begun_before_ms=now_ms)
        return UserExport(self._store, sessions)


async def exported(store: SessionStore, session_id: SessionId) -> ExportedSession | None:
    """Read a session whole, on all branches; None if it is gone."""
    state = await store.load(session_id, with_queue=True)
    if state is None:
        return None
    messages = {message.id: message for message in state.path}
    for leaf in _leaves(state):
        if (branch := await store.load(session_id, leaf=leaf)) is not None:
            messages = {message.id: message for message in branch.path} | messages
    meta = state.meta
    return ExportedSession(
        id=meta.id,
        title=meta.title,
        created_at_ms=meta.created_at_ms,
        updated_at_ms=meta.updated_at_ms,
        head=meta.head_message_id,
        run=state.run,
        messages=[_exported(messages[id_]) for id_ in _ordered(state, messages)],
        queue=[QueueEntry.of(entry) for entry in state.queue.entries],
        unsent=[QueueEntry.of(entry) for entry in state.queue.unsent],
        steers=entries_of(state.steers),
    )


def _exported(message: StoredMessage) -> ExportedMessage:
    return ExportedMessage(message.parent_id, message.message)


def _leaves(state: SessionState) -> list[MessageId]:
    """Return the messages off the path that no other one follows."""
    followed = {off.parent_id for off in state.off_path.values()}
    return [id_ for id_ in state.off_path if id_ not in followed and id_ not in state.deleted]


def _ordered(state: SessionState, messages: dict[MessageId, StoredMessage]) -> Sequence[MessageId]:
    shown = [message.id for message in state.path]
    others = sorted(messages.keys() - set(shown), key=lambda id_: (messages[id_].order, id_))
    return [*shown, *others]
