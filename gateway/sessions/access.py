"""Callers, and their rights in a session.

Every rule is here. The store's scripts check two outcomes of them again in the step that
writes: `open_run` that the session still has the owner and the tenant that were read, and
`request_stop` and `erase` that it is within the caller's `reach`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from midstream.authors import Author, known
from midstream.errors import ForbiddenError, InvalidRequestError, SessionNotFoundError
from midstream.ids import ANONYMOUS, EVERYWHERE, NO_TENANT, Reach, SessionId, TenantId, UserId

if TYPE_CHECKING:
    from midstream.authors import AuthorKind
    from midstream.store.records import SessionMeta


class Role(StrEnum):
    """Role of a token: its rights beyond the sessions that its `sub` owns."""

    USER = "user"
    OBSERVER = "observer"
    """May read every session of their tenant, and change only their own."""
    OPERATOR = "operator"
    """May read every session of their tenant, and send to and stop in it: hand-off, support."""
    ADMIN = "admin"
    """An operator of every tenant. No other role crosses tenants."""


class Caller(Struct, frozen=True, kw_only=True):
    """An authenticated caller.

    Attributes:
        name: as people read it, clean; empty if the token has none.
        tenant: whose people the caller is one of. A session of another tenant does not
            exist for them, unless they are an admin; a `user` of the same name in another
            tenant is another person.
        granted: sessions of others, in the same tenant, that the token names.
        agents: the names as which the caller may write runs from outside; empty for any.
        begins: whether the caller may begin sessions.
        agent_key: name of the key that an agent has shown; empty for people.
        address: of a caller who has shown nothing, to tell them apart from others.
        expires_at: when what they came with ends, in seconds since 1970; None: never.
    """

    user: UserId = ANONYMOUS
    name: str = ""
    tenant: TenantId = NO_TENANT
    role: Role = Role.USER
    granted: frozenset[SessionId] = frozenset()
    agents: frozenset[str] = frozenset()
    begins: bool = True
    agent_key: str = ""
    address: str = ""
    expires_at: float | None = None

    def may_read(self, session: SessionMeta) -> bool:
        """Whether the session exists, as far as this caller is concerned."""
        if not self._meets(session.tenant):
            return False
        return self.role is Role.OBSERVER or self.may_write(session)

    def may_write(self, session: SessionMeta) -> bool:
        """Whether the caller may send, stop and erase."""
        if not self._meets(session.tenant):
            return False
        return session.owner == self.user or self._is_everybodys(session.id)

    def reach(self, session_id: SessionId, session: SessionMeta | None) -> Reach:
        """Return which owners' session the caller may change under this id.

        Args:
            session: as it was just read. For one that does not exist, no caller reaches
                beyond their own tenant: it may begin in any.
        """
        if session is not None and self.role is Role.ADMIN:
            return EVERYWHERE
        owner = "*" if self._is_everybodys(session_id) else self.user
        return Reach(f"{self.tenant}|{owner}")

    def name_in(self, tenant: TenantId) -> UserId:
        """Return the caller's name in a session of a tenant: `TENANT/USER` in another one."""
        return self.user if tenant == self.tenant else UserId(f"{self.tenant}/{self.user}")

    def author_in(self, tenant: TenantId) -> Author:
        """Return the caller as the author of what they do in a session of a tenant."""
        kind: AuthorKind = "agent" if self.agent_key else "person"
        return Author(self.name_in(tenant), self.role, kind, self.name or self.agent_key)

    def known_in(self, tenant: TenantId) -> Author | None:
        """Return the caller as an author; None: nobody knows who they are."""
        return known(self.author_in(tenant))

    def _meets(self, tenant: TenantId) -> bool:
        return tenant == self.tenant or self.role is Role.ADMIN

    def _is_everybodys(self, session_id: SessionId) -> bool:
        """Whether the session's owner does not matter."""
        return self.role in (Role.OPERATOR, Role.ADMIN) or session_id in self.granted


def check_read(caller: Caller, session: SessionMeta | None) -> None:
    """Raise SessionNotFoundError unless the session is there, for this caller."""
    if session is None or not caller.may_read(session):
        raise not_found()


def check_write(caller: Caller, session: SessionMeta) -> None:
    """Raise unless the caller may change the session.

    Raises:
        ForbiddenError: it may only be read.
        SessionNotFoundError: it does not exist, for this caller.
    """
    check_read(caller, session)
    if not caller.may_write(session):
        raise ForbiddenError("unable to change this session; your role may only read it")


def check_create(caller: Caller) -> None:
    """Raise unless the caller may begin a session, and it would have an owner."""
    if not caller.begins:
        raise ForbiddenError(
            "unable to begin a session; this agent key only writes to sessions that exist"
        )
    if caller.role is Role.OPERATOR and caller.user == ANONYMOUS:
        raise InvalidRequestError(
            "unable to begin a session without a user; name its user in the header x-midstream-user"
        )


def check_agent(caller: Caller, name: str) -> None:
    """Raise ForbiddenError unless the caller may write the runs of the agent of this name."""
    if caller.agents and name not in caller.agents:
        raise ForbiddenError("unable to write as this agent; the agent key does not name it")


def not_found() -> SessionNotFoundError:
    """Return the error of a request for a session that does not exist, for its caller."""
    return SessionNotFoundError("unable to find this session; it does not exist or is not yours")
