"""Messages for the running answer: given, waited for, or taken out of the queue."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from midstream.authors import with_author
from midstream.errors import (
    AgentNotFoundError,
    ConflictError,
    QueueFullError,
    SteerNotDeliveredError,
    TooLargeError,
)
from midstream.ids import MessageId
from midstream.sessions.access import Role, check_write, not_found
from midstream.sessions.opening.plan import message_of
from midstream.sessions.queue.entries import facts_of_entry, sender_of
from midstream.sessions.queued import SteerAnswer
from midstream.sessions.types import StartRequest
from midstream.store.queue.calls import Steer, Steered, SteerOutcome, SteerStatus
from midstream.store.record_codec import encode_by
from midstream.store.records import Trigger

if TYPE_CHECKING:
    from midstream.agents.base import AgentFinder
    from midstream.ids import RunId, SessionId
    from midstream.protocol.messages import UIMessage
    from midstream.sessions.access import Caller
    from midstream.sessions.log.feed import Feed
    from midstream.sessions.log.hub import Hub
    from midstream.sessions.opening.due_turns import DueTurns
    from midstream.sessions.queued import AskedSteer
    from midstream.sessions.types import RunHold, SessionLimits
    from midstream.store.contract import SessionStore
    from midstream.store.records import RunInfo, SessionMeta


class Steers:
    """Gives people's messages to the main run of a session."""

    def __init__(
        self,
        store: SessionStore,
        hub: Hub,
        agents: AgentFinder,
        due: DueTurns,
        limits: SessionLimits,
    ) -> None:
        self._store = store
        self._hub = hub
        self._agents = agents
        self._due = due
        self._limits = limits

    async def steer(
        self,
        caller: Caller,
        session_id: SessionId,
        asked: AskedSteer,
        hold: RunHold | None = None,
    ) -> SteerAnswer:
        """See SteerService."""
        meta = await self._meta(caller, session_id)
        run = await self._active(meta)
        request = StartRequest(
            session_id=session_id,
            messages=(asked.message,),
            trigger=Trigger.SUBMIT,
            agent=None if run is None else self._known_name(run),
        )
        async with self._hub.attach(session_id) as feed:

            async def give() -> Steered:
                return await self.give(
                    caller, request, hold, run_id=asked.run_id, wants_back=asked.wants_back
                )

            steered = await give()
            if steered.status is SteerStatus.PENDING and asked.wait_s > 0:
                id_ = MessageId(asked.message.id)
                if not await _until_decided(feed, id_, asked.wait_s):
                    return SteerAnswer.of(id_, steered.run_id, None)
                steered = await give()  # the same again: the outcome
        return _answered(asked, steered)

    async def give(
        self,
        caller: Caller,
        request: StartRequest,
        hold: RunHold | None = None,
        *,
        run_id: RunId | None = None,
        wants_back: bool = False,
        is_send: bool = False,
    ) -> Steered:
        """Give a message to the run under way, or to the queue.

        Args:
            is_send: an idle session, or none, is left alone (`IDLE`).

        Raises as a send that queues.
        """
        message, content_hash = message_of(request)
        self._check_size(message)
        meta = await self._store.load_meta(request.session_id)
        if meta is None and is_send:
            return Steered(status=SteerStatus.IDLE)
        meta = _writable(caller, meta)
        self._agents.find(request.agent, request.model)
        run = await self._active(meta)
        steered = await self._store.steer(
            Steer(
                session_id=request.session_id,
                expected_owner=meta.owner,
                expected_tenant=meta.tenant,
                id=MessageId(message.id),
                message=with_author(message, caller.known_in(meta.tenant)).raw,
                content_hash=content_hash,
                by=sender_of(caller, meta.tenant),
                facts=facts_of_entry(caller, request, hold),
                sender=encode_by(caller.name_in(meta.tenant)),
                may_any=_may_any(caller, meta),
                is_supported=self._is_supported(run),
                run_id=run_id,
                request_key=request.request_key,
                is_send=is_send,
                wants_back=wants_back,
            )
        )
        if steered.is_due:
            self._due.meet(request.session_id)
        _check(steered, message.id)
        return steered

    async def give_entry(
        self, caller: Caller, meta: SessionMeta, entry: MessageId
    ) -> SteerOutcome | None:
        """Give a queued message to the run under way; return why it cannot have it.

        Returns:
            None: it waits for the run, or has left the queue.
        """
        run = await self._active(meta)
        steered = await self._store.steer_entry(
            meta.id,
            entry,
            run_id=None if run is None else run.id,
            sender=encode_by(caller.name_in(meta.tenant)),
            may_any=_may_any(caller, meta),
            is_supported=self._is_supported(run),
        )
        return steered.outcome

    def _check_size(self, message: UIMessage) -> None:
        if len(message.raw) > self._limits.queue_max_bytes:
            raise TooLargeError(
                "unable to give this message to the running answer; it is larger than a queue may "
                "be. Send less, or send it when nothing is being answered"
            )

    async def _meta(self, caller: Caller, session_id: SessionId) -> SessionMeta:
        return _writable(caller, await self._store.load_meta(session_id))

    async def _active(self, meta: SessionMeta) -> RunInfo | None:
        if meta.active_run_id is None:
            return None
        found = await self._store.load_run(meta.id, meta.active_run_id)
        return None if found is None else found.run

    def _known_name(self, run: RunInfo) -> str | None:
        """Return the run's agent, if it is configured here: it answers what is not delivered."""
        with suppress(AgentNotFoundError):
            return self._agents.find(run.agent, None).name
        return None

    def _is_supported(self, run: RunInfo | None) -> bool:
        """Whether a run's agent takes messages. The worker of a pushed run says so itself."""
        if run is None or run.proxied or run.pushed:
            return False
        with suppress(AgentNotFoundError):
            return self._agents.find(run.agent or None, None).traits.steers
        return False


def _writable(caller: Caller, meta: SessionMeta | None) -> SessionMeta:
    if meta is None:
        raise not_found()
    check_write(caller, meta)
    return meta


def _may_any(caller: Caller, meta: SessionMeta) -> bool:
    """Whether the caller may steer the turns of others; each person may steer their own."""
    is_operator = caller.role in (Role.OPERATOR, Role.ADMIN)
    return is_operator or caller.name_in(meta.tenant) == meta.owner


async def _until_decided(feed: Feed, id_: MessageId, wait_s: float) -> bool:
    """Wait for the outcome; False if it did not come in time.

    After a reset of the feed the outcome may be known: ask.
    """
    generation = feed.generation
    with suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            while id_ not in feed.steered and feed.generation == generation:
                await feed.pulse.wait()
            return True
    return False


def _answered(asked: AskedSteer, steered: Steered) -> SteerAnswer:
    answer = SteerAnswer.of(MessageId(asked.message.id), steered.run_id, steered.outcome)
    if steered.status is SteerStatus.QUEUED:
        raise ConflictError(
            "unable to give this message to the running answer; it is in the queue. Send it now "
            "from there",
            messageId=asked.message.id,
        )
    if steered.status in (SteerStatus.STORED, SteerStatus.TAKEN):
        raise ConflictError(
            "unable to give this message to the running answer; it was sent before",
            messageId=asked.message.id,
        )
    if asked.wants_back and answer.type == "not-delivered":
        raise not_delivered(answer.id, str(answer.reason))
    return answer


def not_delivered(id_: str, reason: str) -> SteerNotDeliveredError:
    """Return the error of a message that its sender has back."""
    return SteerNotDeliveredError(
        f"unable to give this message to the running answer; {_WHY.get(reason, _WHY['finished'])}",
        messageId=id_,
        reason=reason,
    )


_WHY = {
    "finished": "it has ended",
    "stop-condition": "it may take no further step",
    "waiting-for-tool-results": "it waits for a person or a tool",
    "aborted": "it was stopped",
    "error": "it has failed",
    "unsupported": "it takes no messages from you",
}


def _check(steered: Steered, message_id: str) -> None:
    match steered.status:
        case SteerStatus.CONFLICT:
            raise ConflictError(
                "unable to give this message to the running answer; its id has other content here",
                messageId=message_id,
            )
        case SteerStatus.FULL:
            raise QueueFullError(
                "unable to give this message to the running answer; as many wait already as may. "
                "Wait for an answer, or remove one of them"
            )
        case SteerStatus.DENIED:
            raise not_found()
        case _:
            return
