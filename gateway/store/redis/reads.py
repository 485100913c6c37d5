"""Reads of logs, sessions and runs. The contract is in `store/contract.py`."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from msgspec import Raw
from msgspec.structs import replace

from midstream.errors import StoreError, StoreUnavailableError
from midstream.ids import NO_TENANT, MessageId, RunId, TenantId, UserId
from midstream.protocol.position import Position
from midstream.store.chunk_pages import joined_chunks
from midstream.store.handoff.calls import Handoff, read_notes
from midstream.store.queue.codec import decode_queue, decode_steers
from midstream.store.record_codec import decode_entry, decode_kept_run
from midstream.store.records import (
    ChunkPage,
    LoadedRun,
    LogOrder,
    LogPage,
    OffPath,
    RunState,
    SessionMeta,
    SessionPage,
    SessionState,
    StoredMessage,
)
from midstream.store.redis.hints import STALE_AFTER_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.ids import SessionId
    from midstream.store.records import LogEntry
    from midstream.store.redis.access import RedisAccess
    from midstream.store.redis.client import Reply
    from midstream.store.scripts.script import Command

logger = logging.getLogger(__name__)

# The order in which load.lua answers.
FACTS: Final = (
    "epoch", "owner", "title", "created", "updated", "offset", "head", "run", "state", "next",
    "format", "tenant", "queue", "steers", "handoff", "notes",
)  # fmt: skip

# What load.lua says of a run's lease.
EXPIRED: Final = 1
SILENT: Final = 2

LOST: Final = b"lost"
"""Answer of a script that found a session torn by Redis, and removed the rest of it."""

PARTS: Final = 4
"""The keys that every session has: meta, log, runs and msg (whole.lua)."""

UNASKED: Final = b" unasked"
DELETED: Final = b"deleted"
SIDE: Final = "side"
"""Of a message's header: it is of a side run."""


class SessionReader:
    """The part of the store that reads logs, sessions and runs."""

    def __init__(self, redis: RedisAccess) -> None:
        self._client = redis.client
        self._scripts = redis.client.scripts
        self._keys = redis.keys
        self._hints = redis.hints
        self._sharded = redis.sharded

    async def read_log(self, session_id: SessionId, after: Position, *, count: int) -> LogPage:
        """See SessionStore."""
        keys = self._keys.session(session_id)
        reply = await self._client.run(
            self._scripts.read.call(keys, epoch=after.epoch, offset=after.offset, count=count)
        )
        if reply == LOST:
            report_lost(session_id)
            return LogPage(recovered=False, head=None)
        epoch, head, recovered, entries, expired, silent = reply
        return LogPage(
            recovered=bool(recovered),
            head=Position(epoch.decode(), head.decode()) if epoch else None,
            entries=tuple(map(decode_entry, entries)),
            expired_run=RunId(expired.decode()) if expired else None,
            silent_runs=frozenset(RunId(run.decode()) for run in silent),
        )

    async def read_run(
        self, session_id: SessionId, offset: str, *, count: int
    ) -> tuple[LogEntry, ...]:
        """See SessionStore."""
        log = self._keys.session(session_id).log
        entries = await self._client.run(("XRANGE", log, offset, "+", "COUNT", count))
        return tuple(map(decode_entry, entries))

    async def read_chunks(
        self, session_id: SessionId, run_id: RunId, offset: str, *, count: int
    ) -> ChunkPage:
        """See SessionStore."""
        log = self._keys.session(session_id).log
        entries = await self._client.run(("XRANGE", log, offset, "+", "COUNT", count))
        return ChunkPage(
            records=joined_chunks(entries, run_id),
            last=entries[-1][0].decode() if entries else "",
            full=len(entries) == count,
        )

    async def load(
        self, session_id: SessionId, *, leaf: MessageId | None = None, with_queue: bool = False
    ) -> SessionState | None:
        """See SessionStore."""
        reply = await self._client.run(
            self._scripts.load.call(
                self._keys.session(session_id), leaf=leaf or "", with_queue=int(with_queue)
            )
        )
        if reply == LOST:
            report_lost(session_id)
            return None
        if reply is None:
            return None
        facts, kept, path, others, expired, beside, queue, steers = reply
        run = decode_kept_run(kept) if kept else None
        off_path, deleted = _off_path(others)
        return SessionState(
            meta=_session_meta(session_id, facts),
            path=_path(path),
            run=replace(run.run, silent=expired == SILENT) if run else None,
            run_next=int(facts[9] or 0),
            run_opened=run.opened if run else "0-0",
            run_expired=expired == EXPIRED,
            beside=tuple(_loaded(*found) for found in beside),
            off_path=off_path,
            deleted=deleted,
            queue=decode_queue(queue),
            steers=decode_steers(steers),
        )

    async def read_messages(
        self, session_id: SessionId, ids: Sequence[MessageId]
    ) -> dict[MessageId, Raw]:
        """See SessionStore."""
        if not ids:
            return {}
        messages = self._keys.session(session_id).messages
        found = await self._client.run(("HMGET", messages, *ids))
        return {id_: Raw(json) for id_, json in zip(ids, found, strict=True) if json}

    async def load_meta(self, session_id: SessionId) -> SessionMeta | None:
        """See SessionStore."""
        facts, parts = await self._client.run_all(self._load_facts(session_id))
        if 0 < parts < PARTS:
            await self.load(session_id)  # it is lost: what is left is removed
        return _session_meta(session_id, facts) if parts == PARTS else None

    async def load_metas(
        self, session_ids: Sequence[SessionId]
    ) -> tuple[list[SessionMeta], set[SessionId]]:
        """Read several sessions as `load_meta` does; return also those that may be there."""
        there = [id_ for id_ in session_ids if not self._is_away(id_)]
        unknown = set(session_ids).difference(there)
        replies = await self._client.run_each(
            [command for id_ in there for command in self._load_facts(id_)]
        )
        found = []
        for id_, facts, parts in zip(there, replies[::2], replies[1::2], strict=True):
            if self._is_unknown(facts, parts):
                unknown.add(id_)
            elif parts == PARTS:
                found.append(_session_meta(id_, facts))
        return found, unknown

    async def load_run(self, session_id: SessionId, run_id: RunId) -> LoadedRun | None:
        """See SessionStore."""
        keys = self._keys.session(session_id)
        reply = await self._client.run(self._scripts.load_run.call(keys, run=run_id))
        if reply == LOST:
            report_lost(session_id)
            return None
        if reply is None:
            return None
        kept = decode_kept_run(reply[0])
        return LoadedRun(run=kept.run, next=int(reply[1]), opened=kept.opened)

    async def run_of_request(self, session_id: SessionId, request_key: str) -> RunId | None:
        """See SessionStore."""
        requests = self._keys.session(session_id).requests
        run = await self._client.run(("HGET", requests, request_key))
        return None if run is None else RunId(run.decode())

    async def list_sessions(
        self,
        user: UserId,
        *,
        tenant: TenantId = NO_TENANT,
        limit: int,
        before_ms: int | None,
    ) -> SessionPage:
        """See SessionStore."""
        found = SessionPage()
        stale: list[SessionId] = []
        young = time.time() * 1_000 - STALE_AFTER_MS
        start = 0
        while len(found) < limit:
            wanted = limit - len(found)
            hints = await self._hints.sessions(user, tenant, before_ms, start, wanted)
            start += len(hints)
            if not hints:
                break
            there = [hint for hint in hints if not self._is_away(hint[0])]
            found.is_whole &= len(there) == len(hints)
            replies = await self._client.run_each(
                [command for id_, _ in there for command in self._load_facts(id_)]
            )
            pairs = zip(replies[::2], replies[1::2], strict=True)
            for (session_id, score), (facts, parts) in zip(there, pairs, strict=True):
                meta = None
                if self._is_unknown(facts, parts):
                    found.is_whole = False
                    continue
                if parts == PARTS:
                    # The score, so that the last one's time is where the next page begins.
                    meta = _session_meta(session_id, facts, updated_at_ms=score)
                if meta is not None and (meta.owner, meta.tenant) == (user, tenant):
                    found.append(meta)
                elif score < young:
                    stale.append(session_id)
        if stale:
            await self._client.run(self._hints.forget_session(user, tenant, stale))
        return found

    def _is_away(self, session_id: SessionId) -> bool:
        return self._client.is_away(self._keys.session(session_id).meta)

    def _is_unknown(self, *replies: Reply) -> bool:
        """Whether a session's server did not answer, where others do.

        Raises:
            StoreError: there are no others, or it refuses for good.
        """
        refused = next((reply for reply in replies if isinstance(reply, StoreError)), None)
        if refused is None:
            return False
        if not (self._sharded and isinstance(refused, StoreUnavailableError)):
            raise refused
        return True

    def _load_facts(self, session_id: SessionId) -> tuple[Command, Command]:
        """Ask for a session's facts, and how many of its parts there are."""
        keys = self._keys.session(session_id)
        return (
            ("HMGET", keys.meta, *FACTS),
            ("EXISTS", keys.meta, keys.log, keys.runs, keys.messages),
        )


def report_lost(session_id: SessionId) -> None:
    """Tell operators: nobody has deleted it."""
    logger.error(
        "session_lost session=%s: Redis has evicted a part of it. Set maxmemory-policy noeviction",
        session_id,
    )


def _loaded(kept: bytes, after: int, expired: int) -> LoadedRun:
    found = decode_kept_run(kept)
    return LoadedRun(run=found.run, next=after, opened=found.opened, expired=bool(expired))


def _session_meta(
    session_id: SessionId, facts: Sequence[bytes], *, updated_at_ms: int | None = None
) -> SessionMeta:
    epoch, owner, title, created, updated, offset, head, run, state, *others = facts
    _, format_, tenant, queued, steers, handoff, notes = others
    run_id = RunId(run.decode()) if run else None
    return SessionMeta(
        id=session_id,
        owner=UserId(owner.decode()),
        tenant=_tenant(tenant),
        position=Position(epoch.decode(), offset.decode()),
        title=title.decode(),
        created_at_ms=int(created),
        updated_at_ms=int(updated) if updated_at_ms is None else updated_at_ms,
        head_message_id=MessageId(head.decode()) if head else None,
        active_run_id=None if state == RunState.ENDED.encode() else run_id,
        last_run_id=run_id,
        queued=tuple(map(MessageId, (queued or b"").decode().split())),
        steers=tuple(map(MessageId, (steers or b"").decode().split())),
        format=int(format_ or 1),
        handoff=Handoff.read(handoff),
        notes=read_notes(notes),
    )


def _tenant(fact: bytes | None) -> TenantId:
    """Return a session's tenant; one that began before there were any has none."""
    return NO_TENANT if fact is None else TenantId(fact.decode())


def _path(flat: Sequence[Reply]) -> tuple[StoredMessage, ...]:
    """Build the messages from (id, header, mark, JSON), newest first."""
    messages = []
    for i in range(len(flat) - 4, -1, -4):
        message_id, header, mark, message = flat[i : i + 4]
        parent, content_hash, run, *more = header.decode().split("\n")
        messages.append(
            StoredMessage(
                id=MessageId(message_id.decode()),
                parent_id=MessageId(parent) if parent else None,
                content_hash=content_hash,
                run_id=RunId(run) if run else None,
                message=Raw(message),
                order=_order(mark),
                unasked=mark.endswith(UNASKED),
                side=SIDE in more,
            )
        )
    return tuple(messages)


def _off_path(
    flat: Sequence[bytes],
) -> tuple[dict[MessageId, OffPath], frozenset[MessageId]]:
    """Read (id, header, mark): the other messages, and the ids of deleted ones."""
    messages: dict[MessageId, OffPath] = {}
    deleted: set[MessageId] = set()
    for i in range(0, len(flat), 3):
        message_id, header, mark = MessageId(flat[i].decode()), flat[i + 1], flat[i + 2]
        if mark == DELETED:
            deleted.add(message_id)
            continue
        parent, _, run, *more = header.decode().split("\n")
        messages[message_id] = OffPath(
            MessageId(parent) if parent else None,
            _order(mark),
            side=SIDE in more,
            run_id=RunId(run) if run else None,
        )
    return messages, frozenset(deleted)


def _order(mark: bytes) -> LogOrder:
    milliseconds, _, sequence = mark.removesuffix(UNASKED).partition(b"-")
    return (int(milliseconds), int(sequence)) if sequence else (0, 0)
