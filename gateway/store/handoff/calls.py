"""A session in the hands of a person: who waits, who has claimed it. Frozen data."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, Self, TypeAlias

import msgspec
from msgspec import Raw, Struct

from midstream.ids import MessageId, SessionId, TenantId, UserId


class Handoff(Struct, frozen=True, kw_only=True):
    """A session that is handed to a person, as it was stored.

    Attributes:
        at_ms: when a person was asked for: the place in the line.
        term_ms: how long it waits for somebody, from when it was asked for or was let go.
        ends_ms: end of the wait, or of the claim unless it is renewed, by Redis's clock.
        holder: who has claimed it; empty: nobody.
        person: them, as clients see them: JSON.
        asked: who asked, why, and their note: JSON, for operators alone.
    """

    at_ms: int
    term_ms: int
    ends_ms: int
    holder: str
    person: Raw
    asked: Raw

    @classmethod
    def read(cls, data: bytes | None) -> Self | None:
        """Decode a stored one; None if there is none, or another version wrote it."""
        parts = (data or b"").split(b"\n", 5)
        if len(parts) != 6:
            return None
        at, term, ends, holder, person, asked = parts
        return cls(
            at_ms=int(at),
            term_ms=int(term),
            ends_ms=int(ends),
            holder=holder.decode(),
            person=Raw(person or b"null"),
            asked=Raw(asked or b"null"),
        )

    def at(self, now_ms: int) -> Self | None:
        """Return what it is at a moment: a claim that was not renewed has lapsed.

        Returns:
            None once nobody has taken it for the length of a wait.
        """
        found = self
        if found.holder and found.ends_ms <= now_ms:
            ends_ms = found.ends_ms + found.term_ms
            found = msgspec.structs.replace(found, holder="", person=Raw(b"null"), ends_ms=ends_ms)
        return found if found.holder or found.ends_ms > now_ms else None


class HandoffRecord(Struct, frozen=True, gc=False, kw_only=True):
    """Who answers the session has changed. None: its agent, again."""

    handoff: Handoff | None


class HandoffNote(Struct, frozen=True, kw_only=True):
    """A note for the model, of whoever gave the session back.

    Attributes:
        after: the last message then; empty: there was none.
        content: by whom, and the text: JSON.
    """

    after: MessageId
    content: Raw


def read_notes(data: bytes | None) -> tuple[HandoffNote, ...]:
    """Decode the stored notes, oldest first."""
    pairs = (line.partition(b" ") for line in (data or b"").splitlines() if line)
    return tuple(
        HandoffNote(after=MessageId(after.decode()), content=Raw(content))
        for after, _, content in pairs
    )


HandoffChange: TypeAlias = Literal["ask", "claim", "release", "back"]


class HandOver(Struct, frozen=True, kw_only=True):
    """Arguments of `hand_over`.

    Args:
        expected_owner, expected_tenant: of the session, as the caller just read it.
        how: `ask` for a person; `claim` it, or renew a claim; `release` it to the line, or to
            another person; give it `back` to the agent.
        holder: who changes it; empty: nobody who could hold it.
        person: of a claim, or of who gets it, as clients see them.
        asked: of `ask`; of a release, in place of what it was; empty: as it was.
        to: of a release, who gets it; empty: the line.
        note: of `back`, for the model: JSON; empty: none.
    """

    session_id: SessionId
    expected_owner: UserId
    expected_tenant: TenantId
    how: HandoffChange
    holder: str = ""
    person: bytes = b""
    asked: bytes = b""
    to: str = ""
    note: bytes = b""
    wait_ms: int = 0
    claim_ms: int = 0


class HandOverStatus(StrEnum):
    """Outcome of `hand_over`."""

    DONE = "done"
    TAKEN = "taken"
    """Another person has claimed it."""
    NONE = "none"
    """The session waits for no person, and none has it."""
    DENIED = "denied"
    """The session's owner is not `expected_owner`, or its tenant not `expected_tenant`; or it is
    gone."""


class HandedOver(Struct, frozen=True, kw_only=True):
    """Answer of `hand_over`: the handoff as it is then."""

    status: HandOverStatus
    handoff: Handoff | None
