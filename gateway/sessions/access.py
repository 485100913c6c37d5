"""Who a caller is, and what they may do with a session."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from gateway.errors import ForbiddenError, InvalidRequestError, SessionNotFoundError
from gateway.ids import ANONYMOUS, SessionId, UserId

if TYPE_CHECKING:
    from gateway.store.records import SessionMeta


class Role(StrEnum):
    """What a token's `role` claim grants beyond the sessions that its `sub` owns."""

    USER = "user"
    OBSERVER = "observer"
    """May read every session, and change only their own."""
    OPERATOR = "operator"
    """May read every session, and send to and stop in it: hand-off, support."""


class Caller(Struct, frozen=True, kw_only=True):
    """An authenticated caller. `granted`: sessions of others that the token names."""

    user: UserId = ANONYMOUS
    role: Role = Role.USER
    granted: frozenset[SessionId] = frozenset()

    def may_read(self, session_id: SessionId, owner: UserId) -> bool:
        """Whether the session exists, as far as this caller is concerned."""
        return self.may_write(session_id, owner) or self.role is Role.OBSERVER

    def may_write(self, session_id: SessionId, owner: UserId) -> bool:
        """Whether the caller may send, stop and erase."""
        return owner == self.user or session_id in self.granted or self.role is Role.OPERATOR


def check_write(caller: Caller, meta: SessionMeta) -> None:
    """Raise unless the caller may change the session; see `access.py`."""
    if caller.may_write(meta.id, meta.owner):
        return
    if caller.may_read(meta.id, meta.owner):
        raise ForbiddenError("unable to change this session; your role may only read it")
    raise not_found()


def check_create(caller: Caller) -> None:
    """Raise unless a session that the caller begins would have an owner."""
    if caller.role is Role.OPERATOR and caller.user == ANONYMOUS:
        raise InvalidRequestError(
            "unable to begin a session for nobody; name its user in the header x-midstream-user"
        )


def not_found() -> SessionNotFoundError:
    """Return what a session that is not there, or not theirs, is answered with."""
    return SessionNotFoundError("unable to find this session; it does not exist or is not yours")
