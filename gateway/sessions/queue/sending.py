"""Sends that queue: opened at once if nothing comes before them, else kept for their turn."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from msgspec import UNSET
from msgspec.structs import replace

from midstream.authors import with_author
from midstream.errors import (
    ConflictError,
    QueueFullError,
    RunActiveError,
    TooLargeError,
)
from midstream.ids import MessageId
from midstream.sessions.access import check_write
from midstream.sessions.opening.plan import message_of
from midstream.sessions.queue.entries import facts_of_entry, sender_of
from midstream.sessions.queue.steered_reader import SteeredReader
from midstream.sessions.queue.steering import not_delivered
from midstream.sessions.queued import Queued, SteerAnswer
from midstream.store.queue.calls import Enqueue, Enqueued, EnqueueStatus, SteerStatus
from midstream.store.records import Trigger
from midstream.telemetry import QUEUE_DEPTH

if TYPE_CHECKING:
    from midstream.agents.base import AgentFinder
    from midstream.protocol.requests import OnActive
    from midstream.sessions.access import Caller
    from midstream.sessions.log.readers import LogReader
    from midstream.sessions.opening.due_turns import DueTurns
    from midstream.sessions.opening.start import Starting
    from midstream.sessions.queue.steering import Steers
    from midstream.sessions.queue.waiting_reader import QueuedReader, WaitingResponses
    from midstream.sessions.types import RunHold, SessionLimits, StartRequest
    from midstream.store.contract import SessionStore

ATTEMPTS: Final = 5
"""Attempts of a send: other tabs may be quicker."""


class Sending:
    """Starts the runs of sends, or queues them."""

    def __init__(
        self,
        store: SessionStore,
        agents: AgentFinder,
        starting: Starting,
        due: DueTurns,
        waiting: WaitingResponses,
        steering: Steers,
        limits: SessionLimits,
    ) -> None:
        self._store = store
        self._agents = agents
        self._starting = starting
        self._due = due
        self._waiting = waiting
        self._steering = steering
        self._limits = limits

    async def start(
        self, caller: Caller, request: StartRequest, hold: RunHold | None = None
    ) -> LogReader | QueuedReader | SteeredReader:
        """See SessionService."""
        message_id = MessageId(request.messages[-1].id)
        if request.on_active == "steer" and _is_plain(request):
            steered = await self._steer(caller, request, hold)
            if isinstance(steered, SteerAnswer):
                return SteeredReader(steered)
            if isinstance(steered, Queued):
                return await self._waiting.reader(request.session_id, message_id, request.client)
            return steered
        if not (self.queues(request) and _is_plain(request)):
            resolved = replace(request, on_active=self._on_active(request))
            return await self._starting.start(caller, resolved, hold)
        started = await self._start(caller, request, hold, has_reader=True)
        if not isinstance(started, Enqueued):
            return started
        return await self._waiting.reader(request.session_id, message_id, request.client)

    async def start_unread(
        self, caller: Caller, request: StartRequest, hold: RunHold | None = None
    ) -> Queued | SteerAnswer:
        """See SessionService."""
        message_id = MessageId(request.messages[-1].id)
        started: LogReader | Enqueued | Queued | SteerAnswer
        if request.on_active == "steer" and _is_plain(request):
            started = await self._steer(caller, request, hold)
        else:
            started = await self._start(caller, request, hold, has_reader=False)
        if isinstance(started, Queued | SteerAnswer):
            return started
        if isinstance(started, Enqueued):
            return Queued(id=message_id, position=started.place)
        async with started:
            # The run's task holds the feed by itself from its first step on.
            await asyncio.sleep(0)
        return Queued(id=message_id, position=0, run_id=started.run.id)

    def may_wait(self, request: StartRequest) -> bool:
        """Whether a send may be answered before its run begins."""
        return self.queues(request) or (request.on_active == "steer" and _is_plain(request))

    def queues(self, request: StartRequest) -> bool:
        """Whether a send asks to be queued, or its agent's sends are."""
        return self._on_active(request) == "queue"

    async def _steer(
        self, caller: Caller, request: StartRequest, hold: RunHold | None
    ) -> LogReader | Queued | SteerAnswer:
        """Give a message to the run under way; without one, it is an ordinary send."""
        self._starting.check()
        message_id = MessageId(request.messages[-1].id)
        for attempt in range(ATTEMPTS):
            steered = await self._steering.give(
                caller, request, hold, wants_back=request.wants_back, is_send=True
            )
            if steered.status is SteerStatus.QUEUED:
                return Queued(id=message_id, position=1)
            if steered.status in (SteerStatus.PENDING, SteerStatus.DECIDED):
                answer = SteerAnswer.of(message_id, steered.run_id, steered.outcome)
                if answer.type != "not-delivered":
                    return answer
                if request.wants_back:
                    raise not_delivered(message_id, str(answer.reason))
                return Queued(id=message_id, position=1)
            try:
                return await self._starting.start(
                    caller, replace(request, on_active="refuse"), hold
                )
            except RunActiveError:
                if attempt == ATTEMPTS - 1 or steered.status is SteerStatus.STORED:
                    raise
        raise AssertionError("unreachable")

    def _on_active(self, request: StartRequest) -> OnActive:
        if request.on_active is not None:
            return request.on_active
        limits = self._limits
        if not limits.agents_on_active:
            return limits.on_active
        name = self._agents.find(request.agent, request.model).name
        return limits.agents_on_active.get(name, limits.on_active)

    async def _start(
        self, caller: Caller, request: StartRequest, hold: RunHold | None, *, has_reader: bool
    ) -> LogReader | Enqueued:
        self._starting.check()
        at_once = replace(request, on_active="refuse")
        for attempt in range(ATTEMPTS):
            if _is_plain(request):
                queued = await self._enqueue(caller, request, hold, has_reader=has_reader)
                if queued is not None:
                    return queued
            try:
                return await self._starting.start(caller, at_once, hold)
            except RunActiveError:
                if attempt == ATTEMPTS - 1 or not _is_plain(request):
                    raise
        raise AssertionError("unreachable")

    async def _enqueue(
        self, caller: Caller, request: StartRequest, hold: RunHold | None, *, has_reader: bool
    ) -> Enqueued | None:
        """Queue a send; None if its run is to be opened at once."""
        message, content_hash = message_of(request)
        if len(message.raw) > self._limits.queue_max_bytes:
            raise TooLargeError(
                "unable to queue this message; it is larger than a queue may be. Send less, or "
                "send it when nothing else is being answered"
            )
        meta = await self._store.load_meta(request.session_id)
        if meta is None:
            return None
        check_write(caller, meta)
        self._agents.find(request.agent, request.model)
        answer = await self._store.enqueue(
            Enqueue(
                session_id=request.session_id,
                expected_owner=meta.owner,
                expected_tenant=meta.tenant,
                id=MessageId(message.id),
                message=with_author(message, caller.known_in(meta.tenant)).raw,
                content_hash=content_hash,
                by=sender_of(caller, meta.tenant),
                facts=facts_of_entry(caller, request, hold),
                request_key=request.request_key,
                has_reader=has_reader,
            )
        )
        if answer.is_due:
            self._due.meet(request.session_id)
        return answer if _accepted(answer, message.id) else None


def _accepted(answer: Enqueued, message_id: str) -> bool:
    match answer.status:
        case EnqueueStatus.QUEUED:
            QUEUE_DEPTH.observe(answer.place)
            return True
        case EnqueueStatus.CONFLICT:
            raise ConflictError(
                "unable to queue this message; its id has other content here. An edit cannot be "
                "queued: wait for the answer, or change the queued message",
                messageId=message_id,
            )
        case EnqueueStatus.FULL:
            raise QueueFullError(
                "unable to queue this message; as many wait already as may. Wait for an answer, or "
                "remove one of them"
            )
        case EnqueueStatus.READERS:
            raise QueueFullError(
                "unable to wait for this answer; as many of your requests wait already as may. "
                "Send it with the header `prefer: respond-async`"
            )
        case EnqueueStatus.OPEN | EnqueueStatus.DENIED:
            return False  # whoever may not is told when its run is to be opened


def _is_plain(request: StartRequest) -> bool:
    """Whether it is a new message for the end: an edit, or an answer again, is not queued."""
    if request.messages[-1].role != "user" or request.trigger is not Trigger.SUBMIT:
        return False
    parent, head = request.parent_id, request.head
    return parent is UNSET or parent == head
