"""Handoffs: a session is given to a person, answered by them, and given back.

Its owner and operators may ask for a person; operators of its tenant claim, answer, release and
give back. The store decides races: the first claim wins (`hand_over.lua`).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import msgspec

from midstream.errors import ConflictError, ForbiddenError, TooLargeError
from midstream.ids import new_id
from midstream.sessions.access import Role, check_write, not_found
from midstream.sessions.answerers.terms import Asked, Person, answered_by, now_ms
from midstream.sessions.answerers.told import NoteForModel
from midstream.sessions.handoff.answering import PersonsAnswer
from midstream.sessions.opening.behind import open_behind
from midstream.sessions.sentences import run_active
from midstream.store.handoff.calls import HandOver, HandOverStatus
from midstream.store.records import RunState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.ids import SessionId
    from midstream.sessions.access import Caller
    from midstream.sessions.answerers.terms import AnsweredBy
    from midstream.sessions.failover.resume import Resuming
    from midstream.sessions.handoff.limits import HandoffLimits
    from midstream.sessions.runs.closer import RunCloser
    from midstream.store.calls import TakenOver
    from midstream.store.contract import SessionStore
    from midstream.store.handoff.calls import HandedOver, Handoff, HandoffChange
    from midstream.store.records import SessionMeta

logger = logging.getLogger(__name__)

ATTEMPTS: Final = 8
"""Attempts of a request, if others of the same person come between."""

NOBODY_CAME: Final = (
    "Nobody of the staff could answer in time, so that you answer again. Say so, and help as far "
    "as you can."
)


class Handoffs:
    """Gives sessions to people, and back. Implements `contract.HandoffService`."""

    def __init__(
        self, store: SessionStore, resuming: Resuming, closer: RunCloser, limits: HandoffLimits
    ) -> None:
        self._store = store
        self._resuming = resuming
        self._closer = closer
        self._limits = limits

    # -- who answers -----------------------------------------------------------------------------

    async def ask(self, caller: Caller, session_id: SessionId, asked: Asked) -> AnsweredBy:
        """Ask for a person; what is sent from now on waits for them. Twice is once.

        Raises:
            SessionNotFoundError, ForbiddenError, TooLargeError.
        """
        meta = await self._store.load_meta(session_id)
        if meta is None:
            raise not_found()
        check_write(caller, meta)
        self._check_size(asked.note + asked.reason)
        encoded = msgspec.json.encode(
            Asked(by=caller.name_in(meta.tenant), reason=asked.reason, note=asked.note)
        )
        changed = await self._change(meta, "ask", asked=encoded)
        handoff = changed.handoff
        logger.info("handoff_asked session=%s status=%s", session_id, changed.status)
        rows = await self._store.desk(meta.tenant, self._limits.desk_rows)
        return answered_by(handoff, 0 if handoff is None else _ahead_of(handoff, meta, rows))

    async def claim(self, caller: Caller, session_id: SessionId, name: str = "") -> AnsweredBy:
        """Take a session that waits, or keep it: the first one has it.

        Raises:
            ConflictError: another person has it, or nobody waits in it.
            SessionNotFoundError, ForbiddenError.
        """
        meta = await self._of_operator(caller, session_id)
        return await self._claim(meta, self._person(caller, meta, name))

    async def release(
        self, caller: Caller, session_id: SessionId, note: str = "", name: str = ""
    ) -> AnsweredBy:
        """Give a session back to the line, in its old place, with a note for the next person.

        Raises: as `claim`; TooLargeError.
        """
        meta = await self._of_operator(caller, session_id)
        self._check_size(note)
        person = self._person(caller, meta, name)
        asked = msgspec.json.encode(Asked(by=person.name, note=note)) if note else b""
        changed = await self._change(meta, "release", person, asked=asked)
        return answered_by(_checked(changed).handoff)

    async def transfer(
        self, caller: Caller, session_id: SessionId, to: Person, note: str = "", name: str = ""
    ) -> AnsweredBy:
        """Give a claimed session to another person, who has it then.

        Raises: as `release`.
        """
        meta = await self._of_operator(caller, session_id)
        self._check_size(note + to.id + to.name)
        person = self._person(caller, meta, name)
        asked = msgspec.json.encode(Asked(by=person.name, note=note)) if note else b""
        await self._claim(meta, person)
        changed = await self._change(meta, "release", person, asked=asked, to=to)
        return answered_by(_checked(changed).handoff)

    async def hand_back(
        self, caller: Caller, session_id: SessionId, note: str = "", name: str = ""
    ) -> AnsweredBy:
        """Give a session back to its agent, which reads the note, and answers what still waits.

        What the person had begun to say stays, as it is.

        Raises: as `release`.
        """
        meta = await self._of_operator(caller, session_id)
        self._check_size(note)
        person = self._person(caller, meta, name)
        told = msgspec.json.encode(NoteForModel(note, person.name)) if note else b""
        changed = _checked(await self._change(meta, "back", person, note=told))
        await self._store.leave_desk(meta.tenant, [session_id])
        await self._end_turn(session_id, person)
        return answered_by(changed.handoff)

    # -- what they say -----------------------------------------------------------------------------

    async def answer(
        self, caller: Caller, session_id: SessionId, text: str, *, done: bool, name: str = ""
    ) -> AnsweredBy:
        """Say something in the place of the model, whole or as far as it is typed.

        Args:
            text: the whole answer so far. The same text again says nothing twice.
            done: the answer ends with it.

        Raises:
            ConflictError: another person has the session; or other words were said already.
            RunActiveError: an agent is answering.
            As `claim`; TooLargeError, InvalidRequestError, StoreUnavailableError.
        """
        meta = await self._of_operator(caller, session_id)
        self._check_size(text)
        person = self._person(caller, meta, name)
        answered = await self._claim(meta, person)
        for _ in range(ATTEMPTS):
            taken = await self._taken(session_id, person)
            if taken is None:
                continue
            begun = await self._begun(taken, person)
            if await begun.write(self._store, text, done=done):
                if not done:
                    await self._store.renew([taken.key], self._limits.claim_ms)
                return answered
        raise ConflictError("unable to answer; other requests of yours came between. Try again")

    async def _taken(self, session_id: SessionId, person: Person) -> TakenOver | None:
        """Claim the run that waits, or keep it, or open one; None: it has changed meanwhile."""
        state = await self._store.load(session_id)
        if state is None:
            raise not_found()
        run = state.run
        if run is None or run.state is RunState.ENDED:
            run = await open_behind(self._store, state, self._limits.wait_ms)
        if run is None:
            return None
        taken = await self._store.claim(session_id, run.id, person.id, self._limits.claim_ms)
        if taken is None and run.state is not RunState.WAITING:
            raise run_active(run)
        return taken

    async def _begun(self, taken: TakenOver, person: Person) -> PersonsAnswer:
        """Read what a person has said in a run so far."""
        return await PersonsAnswer.read(self._store, taken, person, self._limits.reconnect_window_s)

    async def _end_turn(self, session_id: SessionId, person: Person) -> None:
        """Give what still waits to the agent, or end what the person has begun."""
        for _ in range(ATTEMPTS):
            state = await self._store.load(session_id)
            run = None if state is None else state.run
            if run is None or run.state is RunState.ENDED:
                return
            taken = await self._store.claim(session_id, run.id, person.id, self._limits.lease_ms)
            if taken is None:
                return  # its agent's own
            if taken.next == 0:
                if not await self._resuming.give(taken):
                    await self._closer.close_unanswered(taken)
                return
            if await (await self._begun(taken, person)).close(self._store, []):
                return

    async def unanswered(self, taken: TakenOver) -> bool:
        """Give the agent a run whose wait has expired, or end it; let it wait if a person is there.

        Returns:
            False if that became impossible: a newer gateway has raised the session's format.

        Raises:
            StoreUnavailableError: Redis cannot be reached; it is looked at one lease later.
        """
        session_id = taken.key.session_id
        meta = await self._store.load_meta(session_id)
        handoff = None if meta is None or meta.handoff is None else meta.handoff.at(now_ms())
        if handoff is not None and handoff.holder:
            await self._store.wait(taken.key, handoff.term_ms)
            return True
        if meta is not None and meta.handoff is not None:
            note = msgspec.json.encode(NoteForModel(NOBODY_CAME))
            await self._change(meta, "back", note=note)
            await self._store.leave_desk(meta.tenant, [session_id])
        claimed = await self._store.claim(
            session_id, taken.run.id, new_id("agent"), self._limits.lease_ms
        )
        if claimed is None:
            return True
        return await self._resuming.give(claimed) or await self._closer.close_unanswered(claimed)

    # -- rights, and the store -----------------------------------------------------------------

    async def _of_operator(self, caller: Caller, session_id: SessionId) -> SessionMeta:
        self.check_operator(caller)
        meta = await self._store.load_meta(session_id)
        if meta is None:
            raise not_found()
        if not self._limits.is_open:
            check_write(caller, meta)
        return meta

    def check_operator(self, caller: Caller) -> None:
        """Raise ForbiddenError unless the caller answers for others."""
        if not (self._limits.is_open or caller.role in (Role.OPERATOR, Role.ADMIN)):
            raise ForbiddenError(
                "unable to open the desk; it is for the role `operator`, and without "
                "authentication for this machine alone"
            )

    def _person(self, caller: Caller, meta: SessionMeta, name: str) -> Person:
        """Return who asks. Where nobody shows who they are, they say so by themselves."""
        if self._limits.is_open:
            return Person(id=f"desk/{name or 'operator'}", name=name or "operator")
        id_ = caller.name_in(meta.tenant)
        return Person(id=id_, name=caller.name or id_)

    def _check_size(self, text: str) -> None:
        if len(text.encode()) > self._limits.max_bytes:
            raise TooLargeError(
                f"unable to take that much text; at most {self._limits.max_bytes} bytes. Send it "
                "in parts"
            )

    async def _claim(self, meta: SessionMeta, person: Person) -> AnsweredBy:
        return answered_by(_checked(await self._change(meta, "claim", person)).handoff)

    async def _change(
        self,
        meta: SessionMeta,
        how: HandoffChange,
        person: Person | None = None,
        *,
        asked: bytes = b"",
        note: bytes = b"",
        to: Person | None = None,
    ) -> HandedOver:
        shown = to or person
        changed = await self._store.hand_over(
            HandOver(
                session_id=meta.id,
                expected_owner=meta.owner,
                expected_tenant=meta.tenant,
                how=how,
                holder="" if person is None else person.id,
                person=b"" if shown is None else msgspec.json.encode(shown),
                asked=asked,
                to="" if to is None else to.id,
                note=note,
                wait_ms=self._limits.wait_ms,
                claim_ms=self._limits.claim_ms,
            )
        )
        if changed.status is HandOverStatus.DENIED:
            raise not_found()
        return changed


def _checked(changed: HandedOver) -> HandedOver:
    if changed.status is HandOverStatus.TAKEN:
        holder = answered_by(changed.handoff)
        raise ConflictError(
            f"unable to take this session; {holder.name} has it",
            claimedBy=str(holder.id),
            name=str(holder.name),
        )
    if changed.status is HandOverStatus.NONE:
        raise ConflictError(
            "unable to answer in this session; it does not wait for a person. Ask for one first"
        )
    return changed


def _ahead_of(handoff: Handoff, meta: SessionMeta, rows: Sequence[SessionMeta]) -> int:
    """Return how many sessions of a desk were asked for before one, and have nobody yet."""
    others = (row.handoff for row in rows if row.id != meta.id and row.handoff is not None)
    return sum(not other.holder and other.at_ms < handoff.at_ms for other in others)
