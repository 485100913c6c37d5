"""The session log in Redis: `SessionStore` as commands and scripts (`lua/`).

    RedisStore          what writes: this file
      RunHandover       what the next producer of a run needs: handover.py
      SessionReader     what reads: reader.py
      Hints             the indexes in other slots: hints.py
      RedisClient       round trips, time limit, errors, health: client.py
      RedisChannel      the subscription: channel.py

Decisions are taken in the scripts, each of which is one atomic step; here arguments are
encoded and answers decoded (`codec.py`).
"""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Self, TypedDict

from msgspec import Raw

from midstream.errors import StoreError, StoreUnavailableError
from midstream.ids import EVERYWHERE, Reach, RunId, SessionId, TenantId, UserId
from midstream.protocol.position import Position
from midstream.store.channel import RedisChannel
from midstream.store.client import RedisClient, Reply, StoreSettings
from midstream.store.codec import decode_by, decode_kept_run, encode_by, encode_info
from midstream.store.format import NEWER, upgrade_needed
from midstream.store.handover import RunHandover
from midstream.store.keys import Keys
from midstream.store.limits import LimitCounts
from midstream.store.reader import LOST
from midstream.store.records import (
    Appended,
    AppendStatus,
    DeleteStatus,
    Deletion,
    Opened,
    OpenStatus,
    Renewed,
    StopRequested,
    StopStatus,
)
from midstream.store.server import UNKNOWN, ServerFacts, read_info
from midstream.store.stored_bytes import StoredBytes
from midstream.store.withdrawal import Withdrawal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from midstream.ids import MessageId
    from midstream.store.records import AppendBatch, CloseRun, NewMessage, OpenRun, RunKey
    from midstream.store.script import Command

logger = logging.getLogger(__name__)

PROBE_TTL_S: Final = 60

_APPEND_STATUS = {status.value.encode(): status for status in AppendStatus}


class RedisStore(RunHandover):
    """Keeps the contract of `SessionStore`; its docstrings are there.

    Attributes:
        limits: what callers have taken of their limits, in the same Redis.
    """

    limits: LimitCounts

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, url: str, *, settings: StoreSettings | None = None
    ) -> AsyncIterator[Self]:
        """Open a store, and close its connections at the end.

        Redis need not be there yet: `healthy_since` is None until a command succeeds.

        Raises:
            SettingsError: not a Redis URL.
        """
        settings = settings or StoreSettings()
        client, aside = RedisClient(url, settings), RedisClient(url, settings)
        keys = Keys(settings.key_prefix)
        store = cls(client, keys, settings)
        # On connections of its own: how long Redis takes is not how long others queue.
        store.limits = LimitCounts(aside, keys, StoredBytes(client, keys, settings))
        try:
            yield store
        finally:
            await aside.aclose()
            await client.aclose()

    @property
    def healthy_since(self) -> float | None:
        """See SessionStore."""
        return self._client.healthy_since

    async def ping(self) -> None:
        """See SessionStore."""
        await self._client.run(("PING",))

    async def probe(self) -> None:
        """See SessionStore."""
        await self._client.run(
            self._scripts.hint.call(self._keys.probe, "ready", delay_ms=0, ttl_s=PROBE_TTL_S)
        )

    async def describe(self) -> ServerFacts:
        """Return what the server says of itself; `UNKNOWN` if it refuses to.

        Raises:
            StoreUnavailableError: Redis cannot be reached.
        """
        info, save = await self._client.ask([("INFO",), ("CONFIG", "GET", "save")])
        if not isinstance(info, bytes):
            return UNKNOWN
        return read_info(info, save[1] if isinstance(save, list) and len(save) == 2 else None)

    def channel(self) -> RedisChannel:
        """See SessionStore."""
        return RedisChannel(self._client, self._keys, self._settings)

    # -- a run's life -------------------------------------------------------------------

    async def open_run(self, request: OpenRun) -> Opened:
        """See SessionStore."""
        session_id, run = request.session_id, request.run
        opening = self._scripts.open.call(
            self._keys.session(session_id),
            expected_owner=request.expected_owner,
            expected_tenant=request.expected_tenant,
            expected_offset=request.expected_offset or "",
            new_epoch=request.new_epoch,
            title=request.title,
            ttl_s=self._ttl_s,
            lease_ms=request.lease_ms,
            run=run.id,
            info=encode_info(run),
            answers=run.user_message_id,
            writes=run.message_id,
            request_key=request.request_key or "",
            content_hash=request.content_hash,
            facts=request.facts,
            is_user_message=int(request.user_message is not None),
            **_message_arguments(request.user_message or request.replaced_message),
        )
        hints = [
            self._hints.lease([(session_id, run.id)], request.lease_ms),
            self._hints.activity(request.expected_owner, request.expected_tenant, session_id),
        ]
        status, kept, epoch, offset = await self._after_hints(hints, opening)
        if status == NEWER:
            raise upgrade_needed(session_id)
        found = decode_kept_run(kept) if kept else None
        return Opened(
            status=OpenStatus(status.decode()),
            run=found.run if found else None,
            fence=found.fence if found else 0,
            position=Position(epoch.decode(), offset.decode()) if epoch else None,
            opened=found.opened if found else "0-0",
            stop_requested=found is not None and found.run.stopped_by is not None,
        )

    async def append(self, batches: Sequence[AppendBatch]) -> list[Appended]:
        """See SessionStore."""
        session, script = self._keys.session, self._scripts.append
        replies = await self._client.run_all(
            [
                script.call(
                    session(batch.key.session_id),
                    run=batch.key.run_id,
                    fence=batch.key.fence,
                    first=batch.chunks.first,
                    count=batch.chunks.count,
                    level=batch.chunks.level,
                    payload=batch.chunks.payload,
                )
                for batch in batches
            ]
        )
        return list(map(_appended, replies))

    async def renew(self, keys: Sequence[RunKey], lease_ms: int) -> list[Renewed]:
        """See SessionStore."""
        if not keys:
            return []
        renewals = [
            self._scripts.renew.call(
                self._keys.session(key.session_id),
                run=key.run_id,
                fence=key.fence,
                lease_ms=lease_ms,
                ttl_s=self._ttl_s,
            )
            for key in keys
        ]
        hint = self._hints.lease([(key.session_id, key.run_id) for key in keys], lease_ms)
        # A hint that is refused must not hide what became of the leases: the next one notes it.
        _, *replies = await self._client.run_each([hint, *renewals])
        for reply in replies:
            if isinstance(reply, StoreError):
                raise reply
        lost = [
            (key.session_id, key.run_id)
            for key, (held, _) in zip(keys, replies, strict=True)
            if held in {0, LOST}  # the hint of a newer one leads a newer gateway to it
        ]
        if lost:
            await self._client.run_each([self._hints.forget_lease(lost)])
        return [
            Renewed(held=held == 1, newer=held == NEWER, stopped_by=decode_by(by))
            for held, by in replies
        ]

    async def request_stop(
        self,
        session_id: SessionId,
        *,
        run_id: RunId | None,
        message_id: MessageId | None,
        by: str,
        tombstone_ms: int,
        request_key: str | None = None,
        reach: Reach = EVERYWHERE,
    ) -> StopRequested:
        """See SessionStore."""
        status, run = await self._client.run(
            self._scripts.request_stop.call(
                self._keys.session(session_id),
                run=run_id or "",
                message=message_id or "",
                by=encode_by(by),
                tombstone_ms=tombstone_ms,
                ttl_s=self._ttl_s,
                request_key=request_key or "",
                reach=reach,
            )
        )
        if status == NEWER:
            raise upgrade_needed(session_id)
        return StopRequested(
            status=StopStatus(status.decode()), run_id=RunId(run.decode()) if run else None
        )

    async def close_run(self, request: CloseRun) -> Appended:
        """See SessionStore."""
        key, chunks = request.key, request.chunks
        reply = await self._client.run(
            self._scripts.close.call(
                self._keys.session(key.session_id),
                run=key.run_id,
                fence=key.fence,
                first=chunks.first,
                count=chunks.count,
                level=chunks.level,
                payload=chunks.payload,
                outcome=request.outcome,
                trim_before_ms=request.trim_before_ms,
                ttl_s=self._ttl_s,
                **_message_arguments(request.message),
            )
        )
        appended = _appended(reply[:4])
        if appended.status in {AppendStatus.APPENDED, AppendStatus.DUPLICATE}:
            replies = await self._client.run_each(
                [
                    self._hints.forget_lease([(key.session_id, key.run_id)]),
                    self._hints.trim(key.session_id, self._reconnect_window_ms),
                    self._hints.activity(*_owner(*reply[4:]), key.session_id),
                ]
            )
            for refusal in replies:
                if isinstance(refusal, StoreUnavailableError):
                    raise refusal  # full, for a moment: its log would never be trimmed
        return appended

    # -- presence -----------------------------------------------------------------------

    async def announce(
        self, session_id: SessionId, process: str, user: UserId, *, tabs: int, lifetime_ms: int
    ) -> None:
        """See SessionStore."""
        await self._client.run(
            self._scripts.presence.call(
                self._keys.presence(session_id),
                process=process,
                lifetime_ms=lifetime_ms,
                user=user,
                tabs=tabs,
                dead="",
            )
        )

    async def withdraw(self, processes: str, *, lifetime_ms: int) -> None:
        """See SessionStore."""
        withdrawal = Withdrawal(self._client, self._keys, self._scripts, lifetime_ms)
        await withdrawal.of(processes)

    async def presence(self, session_id: SessionId, *, lifetime_ms: int) -> Raw:
        """See SessionStore."""
        look = self._scripts.presence.call(
            self._keys.presence(session_id),
            process="",
            lifetime_ms=lifetime_ms,
            user="",
            tabs=0,
            dead="",
        )
        return Raw(await self._client.run(look))

    # -- own sends ----------------------------------------------------------------------

    async def mark_reading(
        self, session_id: SessionId, run_id: RunId, client: str, *, lifetime_ms: int
    ) -> None:
        """See SessionStore."""
        own, reader = self._keys.own(session_id), f"{run_id}\n{client}"
        await self._client.run_all([("HSET", own, reader, 1), ("PEXPIRE", own, lifetime_ms)])

    async def forget_reading(self, session_id: SessionId, run_id: RunId, client: str) -> None:
        """See SessionStore."""
        await self._client.run(("HDEL", self._keys.own(session_id), f"{run_id}\n{client}"))

    async def is_marked_reading(self, session_id: SessionId, run_id: RunId, client: str) -> bool:
        """See SessionStore."""
        asked = ("HEXISTS", self._keys.own(session_id), f"{run_id}\n{client}")
        return bool(await self._client.run(asked))

    # -- housekeeping -------------------------------------------------------------------

    async def delete(
        self, session_id: SessionId, epoch: str, message_id: MessageId | None
    ) -> Deletion:
        """See SessionStore."""
        keys = self._keys.session(session_id)
        status, run = await self._client.run(
            self._scripts.delete.call(
                keys, epoch=epoch, message=message_id or "", ttl_s=self._ttl_s
            )
        )
        if status == NEWER:
            raise upgrade_needed(session_id)
        return Deletion(
            status=DeleteStatus(status.decode()), run_id=RunId(run.decode()) if run else None
        )

    async def erase(self, session_id: SessionId, *, reach: Reach = EVERYWHERE) -> RunId | None:
        """See SessionStore."""
        reply = await self._client.run(
            self._scripts.erase.call(self._keys.session(session_id), reach=reach)
        )
        if reply is None:
            return None
        if reply == NEWER:
            raise upgrade_needed(session_id)
        owner, run, tenant = reply
        stale = [
            self._hints.forget_session(*_owner(owner, tenant), [session_id]),
            self._hints.forget_trim([session_id]),
        ]
        if run:
            stale.append(self._hints.forget_lease([(session_id, RunId(run.decode()))]))
        await self._client.run_all(stale)
        return RunId(run.decode()) if run else None

    async def trim_due(self, limit: int) -> int:
        """See SessionStore."""
        due = await self._hints.due_trims(limit)
        if not due:
            return 0
        trim = self._scripts.trim
        commands = [
            trim.call(self._keys.session(id_), window_ms=self._reconnect_window_ms) for id_ in due
        ]
        replies = await self._client.run_all(commands)
        # A newer gateway trims what it alone may write; those must not hold up the others here.
        newer = [id_ for id_, reply in zip(due, replies, strict=True) if reply == NEWER]
        later = [self._hints.trim(id_, self._reconnect_window_ms) for id_ in newer]
        await self._client.run_all([self._hints.forget_trim(due), *later])
        return len(due)

    async def _after_hints(self, hints: list[Command], command: Command) -> Reply:
        """Run hints, then a command: one round trip where Redis keeps their order.

        A hint that Redis refuses, for want of memory say, is no reason to leave what the command
        did: the lease's is noted again with each renewal, and whoever meets its run looks at the
        lease itself.
        """
        if self._settings.sharded:
            replies = await self._client.run_each(hints)
            replies.append(await self._client.run(command))
        else:
            replies = await self._client.run_each([*hints, command])
        for refusal in replies[:-1]:
            if isinstance(refusal, StoreError):
                logger.warning("hint_refused reason=%s", refusal)
        if isinstance(replies[-1], StoreError):
            raise replies[-1]
        return replies[-1]


def _owner(owner: bytes, tenant: bytes) -> tuple[UserId, TenantId]:
    return UserId(owner.decode()), TenantId(tenant.decode())


class _MessageArguments(TypedDict):
    message: MessageId | str
    message_parent: MessageId | str
    message_hash: str
    message_json: bytes


def _message_arguments(message: NewMessage | None) -> _MessageArguments:
    if message is None:
        return {"message": "", "message_parent": "", "message_hash": "", "message_json": b""}
    return {
        "message": message.id,
        "message_parent": message.parent_id or "",
        "message_hash": message.content_hash,
        "message_json": bytes(message.message),
    }


def _appended(reply: Reply) -> Appended:
    status, after, offset, by = reply
    return Appended(
        status=_APPEND_STATUS[status],
        next=after,
        offset=offset.decode(),
        stopped_by=decode_by(by),
    )
