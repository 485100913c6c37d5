"""A run's life, from its opening to its terminal. The contract is in `store/contract.py`."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, TypedDict

from msgspec.structs import replace

from midstream.errors import StoreError, StoreUnavailableError
from midstream.ids import EVERYWHERE, MessageId, Reach, RunId, SessionId
from midstream.protocol.position import Position
from midstream.store.calls import (
    Appended,
    AppendStatus,
    Opened,
    OpenStatus,
    Renewed,
    StopRequested,
    StopStatus,
)
from midstream.store.errors import unavailable
from midstream.store.format import NEWER, upgrade_needed
from midstream.store.queue.calls import Turn
from midstream.store.record_codec import decode_by, decode_kept_run, encode_by, encode_info
from midstream.store.records import RunOutcome
from midstream.store.redis.access import owner_of
from midstream.store.redis.reads import LOST
from midstream.store.scripts.packed import AppendCommands

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from midstream.store.calls import AppendBatch, CloseRun, NewMessage, OpenRun, RunKey
    from midstream.store.redis.access import RedisAccess
    from midstream.store.redis.client import RedisClient, Reply
    from midstream.store.scripts.script import Command

logger = logging.getLogger(__name__)

ACTIVITY_LIMIT_S: Final = 0.2
"""Longest wait for the list of a user, in a cluster: it is at another node than the session."""

_APPEND_STATUS = {status.value.encode(): status for status in AppendStatus}


class RunWrites:
    """The part of the store by which a producer writes its run, and others stop it."""

    def __init__(self, redis: RedisAccess, note_turn: Callable[[Turn], None]) -> None:
        self._note_turn = note_turn
        self._queue = redis.queue
        self._client = redis.client
        self._scripts = redis.client.scripts
        self._keys = redis.keys
        self._appends = AppendCommands(redis.client.scripts, redis.keys.session)
        self._hints = redis.hints
        self._ttl_s = redis.ttl_s
        self._reconnect_window_ms = redis.reconnect_window_ms
        self._sharded = redis.sharded

    async def open_run(self, request: OpenRun) -> Opened:
        """See SessionStore."""
        session_id, run = request.session_id, request.run
        wait_ms = request.wait_ms
        hints = (
            self._hints.lease([(session_id, run.id)], request.lease_ms)
            if wait_ms is None
            else [self._hints.wait(session_id, run.id, wait_ms)]
        )
        status, kept, epoch, offset = await self._after_hints(
            hints,
            self._hints.activity(request.expected_owner, request.expected_tenant, session_id),
            self._open_side(request) if run.side else self._open(request),
        )
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

    def _open(self, request: OpenRun) -> Command:
        run = request.run
        return self._scripts.open.call(
            self._keys.session(request.session_id),
            expected_owner=request.expected_owner,
            expected_tenant=request.expected_tenant,
            expected_offset=request.expected_offset or "",
            new_epoch=request.new_epoch,
            title=request.title,
            ttl_s=self._ttl_s,
            lease_ms=request.lease_ms,
            wait_ms="" if request.wait_ms is None else request.wait_ms,
            run=run.id,
            info=encode_info(run),
            answers=run.user_message_id,
            writes=run.message_id,
            request_key=request.request_key or "",
            content_hash=request.content_hash,
            facts=request.facts,
            is_user_message=int(request.user_message is not None),
            entry=request.entry or "",
            queue_rule=request.queue_rule,
            attempt="" if request.attempt is None else request.attempt,
            patience_ms="" if request.patience_ms is None else request.patience_ms,
            after=request.after or "",
            sender=request.sender,
            earlier="" if request.earlier is None else request.earlier.id,
            earlier_json=b"" if request.earlier is None else bytes(request.earlier.message),
            **_message_arguments(request.user_message or request.replaced_message),
        )

    def _open_side(self, request: OpenRun) -> Command:
        run = request.run
        return self._scripts.open_side.call(
            self._keys.session(request.session_id),
            expected_owner=request.expected_owner,
            expected_tenant=request.expected_tenant,
            expected_offset=request.expected_offset or "",
            ttl_s=self._ttl_s,
            lease_ms=request.lease_ms,
            wait_ms="" if request.wait_ms is None else request.wait_ms,
            run=run.id,
            info=encode_info(run),
            answers=run.user_message_id,
            writes=run.message_id,
            request_key=request.request_key or "",
            facts=request.facts,
            attempt="" if request.attempt is None else request.attempt,
            patience_ms="" if request.patience_ms is None else request.patience_ms,
            parent=run.parent_run_id or "",
            **_message_arguments(request.user_message or request.replaced_message),
        )

    async def append(self, batches: Sequence[AppendBatch]) -> list[Appended]:
        """See SessionStore."""
        commands = list(map(self._appends.command, batches))
        if self._sharded:
            replies = await self._client.run_now(commands)
        else:
            replies = await self._client.run_all(commands)
        server = self._server_of(batches)
        if server is not None:
            await server.prepare_calls()
        return list(map(_fate, replies))

    def append_by_call(
        self,
        batches: Sequence[AppendBatch],
        done: Callable[[list[Appended] | None], None],
    ) -> bool:
        """See SessionStore."""

        def take(replies: list[Reply] | None) -> None:
            done(None if replies is None else list(map(_appended, replies)))

        server = self._server_of(batches)
        return server is not None and server.call(
            len(batches), b"".join(map(self._appends.packed, batches)), take
        )

    def _server_of(self, batches: Sequence[AppendBatch]) -> RedisClient | None:
        """Return the server that takes all of these batches."""
        return self._client.serving(
            self._keys.session(batch.key.session_id).meta for batch in batches
        )

    async def renew(
        self, keys: Sequence[RunKey], lease_ms: int, *, patience_ms: int | None = None
    ) -> list[Renewed]:
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
                patience_ms="" if patience_ms is None else patience_ms,
            )
            for key in keys
        ]
        hints = self._hints.lease([(key.session_id, key.run_id) for key in keys], lease_ms)
        # A hint that is refused must not hide what became of the leases: the next one notes it.
        replies = (await self._client.run_now([*hints, *renewals]))[len(hints) :]
        for reply in replies:
            if isinstance(reply, StoreError):
                raise reply
        lost = [
            (key.session_id, key.run_id)
            for key, (held, _) in zip(keys, replies, strict=True)
            if held in {0, LOST}  # the hint of a newer one leads a newer gateway to it
        ]
        if lost:
            await self._client.run_each(self._hints.forget_lease(lost))
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
        pauses: bool = True,
    ) -> StopRequested:
        """See SessionStore."""
        status, run, *beside = await self._client.run(
            self._scripts.request_stop.call(
                self._keys.session(session_id),
                run=run_id or "",
                message=message_id or "",
                by=encode_by(by),
                tombstone_ms=tombstone_ms,
                ttl_s=self._ttl_s,
                request_key=request_key or "",
                reach=reach,
                pauses=int(pauses),
            )
        )
        if status == NEWER:
            raise upgrade_needed(session_id)
        others = tuple(map(_stop, beside[::2], beside[1::2]))
        return _stop(status, run, others)

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
                waits_for=request.waits_for or "",
                wait_ms=self._queue.wait_ms,
                take_ms=self._queue.take_ms,
                undelivered=request.undelivered,
                **_message_arguments(request.message),
            )
        )
        answer = _appended(reply[:4])
        if answer.status in {AppendStatus.APPENDED, AppendStatus.DUPLICATE}:
            activity = self._hints.activity(*owner_of(*reply[4:6]), key.session_id)
            replies = await self._note(
                [
                    *self._hints.forget_lease([(key.session_id, key.run_id)]),
                    self._hints.trim(key.session_id, self._reconnect_window_ms),
                ],
                activity,
            )
            if reply[6]:
                entry = MessageId(reply[6].decode())
                is_death = request.outcome is RunOutcome.INTERRUPTED
                self._note_turn(Turn(key.session_id, entry, is_death))
                answer = replace(answer, next_entry=entry)
            for refusal in replies:
                if isinstance(refusal, StoreUnavailableError):
                    raise refusal  # full, for a moment: its log would never be trimmed
        return answer

    async def _after_hints(
        self, hints: list[Command], activity: Command, command: Command
    ) -> Reply:
        """Run hints, then a command: one round trip where Redis keeps their order.

        A hint that Redis refuses, for want of memory say, is no reason to leave what the command
        did: the lease's is noted again with each renewal, and whoever meets its run looks at the
        lease itself.
        """
        if self._sharded:
            replies = await self._note(hints, activity)
            replies += await self._client.run_each([command])
        else:
            replies = await self._client.run_each([*hints, activity, command])
        for refusal in replies[:-1]:
            if isinstance(refusal, StoreError):
                logger.warning("hint_refused reason=%s", refusal)
        if isinstance(replies[-1], StoreError):
            raise replies[-1]
        return replies[-1]

    async def _note(self, hints: list[Command], activity: Command) -> list[Reply]:
        """Run hints of a session; its user's may be on a server that is away."""
        if not self._sharded:
            return await self._client.run_each([*hints, activity])
        noted, listed = await asyncio.gather(
            self._client.run_each(hints), self._note_activity(activity)
        )
        return [*noted, listed]

    async def _note_activity(self, activity: Command) -> Reply:
        """Note a session in its user's list, if that is quick: a close notes it again."""
        try:
            async with asyncio.timeout(ACTIVITY_LIMIT_S):
                return (await self._client.run_each([activity]))[0]
        except TimeoutError:
            return unavailable()


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


def _stop(status: bytes, run: bytes, beside: tuple[StopRequested, ...] = ()) -> StopRequested:
    return StopRequested(
        status=StopStatus(status.decode()),
        run_id=RunId(run.decode()) if run else None,
        beside=beside,
    )


_UNKNOWN: Final = Appended(status=AppendStatus.UNKNOWN)


def _fate(reply: Reply) -> Appended:
    """Return the answer to a batch.

    Raises:
        StoreError: it is refused for good.
    """
    if isinstance(reply, StoreUnavailableError):
        return _UNKNOWN
    if isinstance(reply, Exception):
        raise reply
    return _appended(reply)


def _appended(reply: Reply) -> Appended:
    status, after, offset, by = reply
    return Appended(
        status=_APPEND_STATUS[status],
        next=after,
        offset=offset.decode(),
        stopped_by=decode_by(by),
    )
