"""Changes of the queue by people: edit, move, remove, send now, clear, resume."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from midstream.authors import Author, known, with_author
from midstream.errors import (
    ConflictError,
    EntryTakenError,
    ForbiddenError,
    MessageNotFoundError,
    QueueFullError,
)
from midstream.sessions.access import Role, check_read, check_write, not_found
from midstream.sessions.opening.plan import check_message, hash_content
from midstream.sessions.places import has
from midstream.sessions.queue.steering import not_delivered
from midstream.sessions.queued import Queue
from midstream.store.queue.calls import ChangeEntry, ChangeStatus

if TYPE_CHECKING:
    from midstream.ids import MessageId, SessionId
    from midstream.sessions.access import Caller
    from midstream.sessions.opening.due_turns import DueTurns
    from midstream.sessions.queue.steering import Steers
    from midstream.sessions.queued import EntryEdit
    from midstream.sessions.stopping import Stopping
    from midstream.store.contract import SessionStore
    from midstream.store.queue.calls import Changed
    from midstream.store.queue.state import QueuedMessage
    from midstream.store.records import SessionMeta, SessionState


class QueueChanges:
    """Changes the queue of a session, for those who may."""

    def __init__(
        self, store: SessionStore, stopping: Stopping, due: DueTurns, steering: Steers
    ) -> None:
        self._store = store
        self._steering = steering
        self._stopping = stopping
        self._due = due

    async def edit(
        self, caller: Caller, session_id: SessionId, entry: MessageId, edit: EntryEdit
    ) -> Queue:
        """Change an entry's message, its place, or both."""
        _, own = await self._own(caller, session_id, entry)
        version = edit.if_version
        if edit.message is not None:
            message = with_author(check_message(edit.message), known(_sender(own)))
            if message.id != entry:
                raise ConflictError(
                    "unable to change the queued message; the new one has another id",
                    messageId=entry,
                )
            changed = await self._store.change_entry(
                ChangeEntry(
                    session_id=session_id,
                    id=entry,
                    how="edit",
                    if_version=version,
                    message=message.raw,
                    content_hash=hash_content(message),
                )
            )
            _check(changed, entry)
            version = changed.version
        if edit.before is not UNSET:
            changed = await self._store.change_entry(
                ChangeEntry(
                    session_id=session_id,
                    id=entry,
                    how="move",
                    if_version=version,
                    before=edit.before,
                )
            )
            _check(changed, entry)
        return await self.queue(caller, session_id)

    async def remove(self, caller: Caller, session_id: SessionId, entry: MessageId) -> Queue:
        """Remove an entry, or one that came back."""
        await self._own(caller, session_id, entry)
        changed = await self._store.change_entry(
            ChangeEntry(session_id=session_id, id=entry, how="drop")
        )
        _check(changed, entry)
        return await self.queue(caller, session_id)

    async def clear(self, caller: Caller, session_id: SessionId) -> Queue:
        """Remove all entries, and those that came back."""
        state = await self._loaded(caller, session_id)
        for each in (*state.queue.entries, *state.queue.unsent):
            _check_own(caller, state, each)
        await self._store.change_queue(session_id, "clear")
        return await self.queue(caller, session_id)

    async def resume(self, caller: Caller, session_id: SessionId) -> Queue:
        """End a pause."""
        await self._loaded(caller, session_id)
        await self._store.change_queue(session_id, "resume")
        self._due.meet(session_id)
        return await self.queue(caller, session_id)

    async def send_now(
        self, caller: Caller, session_id: SessionId, entry: MessageId, *, steers: bool = False
    ) -> Queue:
        """Answer an entry next: the run under way is stopped for it, or takes it up."""
        meta, _ = await self._own(caller, session_id, entry)
        if steers and meta.active_run_id is not None:
            refused = await self._steering.give_entry(caller, meta, entry)
            if refused is None:
                return await self.queue(caller, session_id)
            if refused.reason != "finished":
                raise not_delivered(entry, refused.reason)
        changed = await self._store.change_queue(session_id, "now", entry)
        _check(changed, entry)
        if changed.active_run_id is not None and not steers:
            await self._stopping.make_way(session_id, changed.active_run_id)
        else:
            self._due.meet(session_id)
        return await self.queue(caller, session_id)

    async def queue(self, caller: Caller, session_id: SessionId) -> Queue:
        """Return the queue as it is now."""
        state = await self._store.load(session_id, with_queue=True)
        check_read(caller, None if state is None else state.meta)
        return Queue() if state is None else Queue.of(state.queue)

    async def _loaded(self, caller: Caller, session_id: SessionId) -> SessionState:
        state = await self._store.load(session_id, with_queue=True)
        if state is None:
            raise not_found()
        check_write(caller, state.meta)
        return state

    async def _own(
        self, caller: Caller, session_id: SessionId, entry: MessageId
    ) -> tuple[SessionMeta, QueuedMessage]:
        """Return the session and the entry; raise unless the caller may change it."""
        state = await self._loaded(caller, session_id)
        for each in (*state.queue.entries, *state.queue.unsent):
            if each.id == entry:
                _check_own(caller, state, each)
                return state.meta, each
        if not has(state, entry):
            raise MessageNotFoundError(
                "unable to change this message; the queue does not have it", messageId=entry
            )
        found = await self._store.load(session_id, leaf=entry)
        run = None if found is None or not found.path else found.path[-1].run_id
        raise _taken(entry, run)


def _check_own(caller: Caller, state: SessionState, entry: QueuedMessage) -> None:
    """Raise unless the caller has sent the entry, owns the session, or is an operator."""
    meta = state.meta
    if caller.role in (Role.OPERATOR, Role.ADMIN):
        return
    name = caller.name_in(meta.tenant)
    if name not in (meta.owner, _sender(entry).id):
        raise ForbiddenError("unable to change this queued message; another person has sent it")


def _sender(entry: QueuedMessage) -> Author:
    return msgspec.json.decode(entry.by, type=Author)


def _check(changed: Changed, entry: MessageId) -> None:
    match changed.status:
        case ChangeStatus.CHANGED:
            return
        case ChangeStatus.TAKEN:
            raise _taken(entry, changed.run_id)
        case ChangeStatus.ABSENT:
            raise MessageNotFoundError(
                "unable to change this message; the queue does not have it", messageId=entry
            )
        case ChangeStatus.VERSION:
            raise ConflictError(
                "unable to change this queued message; it was changed meanwhile. Load it again",
                messageId=entry,
                version=changed.version,
            )
        case ChangeStatus.FULL:
            raise QueueFullError(
                "unable to change this queued message; the queue would be too large"
            )


def _taken(entry: MessageId, run_id: str | None) -> EntryTakenError:
    known = {} if run_id is None else {"runId": run_id}
    return EntryTakenError(
        "unable to change this message; it is being answered already", messageId=entry, **known
    )
