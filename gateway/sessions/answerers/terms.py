"""Words of handoffs: who answers a session, and what operators see of those that wait."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from midstream.ids import SessionId

if TYPE_CHECKING:
    from midstream.store.handoff.calls import Handoff


class Person(Struct, frozen=True, omit_defaults=True):
    """A person as others see them. `name`: for people."""

    id: str
    name: str


class AnsweredBy(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Who answers what is sent to a session.

    Attributes:
        kind: its `agent`; a `person`, who has claimed it; or nobody yet: it is `waiting` for one.
        since_ms: when a person was asked for.
        ahead: how many sessions were asked for before, of those that wait; where that is known.
    """

    kind: Literal["agent", "waiting", "person"]
    id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    since_ms: int | UnsetType = UNSET
    ahead: int | UnsetType = UNSET


class Asked(Struct, frozen=True, kw_only=True):
    """Who asked for a person, why, and a note for them. Operators alone see it."""

    by: str = ""
    reason: str = ""
    note: str = ""


class DeskRow(Struct, frozen=True, kw_only=True, rename="camel"):
    """A session that waits for a person, or is answered by one.

    Attributes:
        place: in the line of those that wait, from 1; None: a person has it.
        here: who has the session open, as its presence says.
    """

    id: SessionId
    title: str
    user: str
    tenant: str
    since_ms: int
    updated_at_ms: int
    place: int | None
    answered_by: AnsweredBy
    asked: Raw
    here: Raw


def now_ms() -> int:
    """Return the time, as far as this process knows it. What a claim is worth, Redis decides."""
    return time.time_ns() // 1_000_000


def answered_by(handoff: Handoff | None, ahead: int | UnsetType = UNSET) -> AnsweredBy:
    """Return who answers a session now."""
    found = None if handoff is None else handoff.at(now_ms())
    if found is None:
        return AnsweredBy(kind="agent")
    if not found.holder:
        return AnsweredBy(kind="waiting", since_ms=found.at_ms, ahead=ahead)
    person = msgspec.json.decode(found.person, type=Person)
    return AnsweredBy(kind="person", id=person.id, name=person.name, since_ms=found.at_ms)


def encode_answered_by(handoff: Handoff | None) -> Raw:
    """Encode who answers a session, as snapshots and feeds have it."""
    return Raw(msgspec.json.encode(answered_by(handoff)))
