"""The part of the sessions' contract by which people answer in the place of an agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from midstream.ids import SessionId, TenantId
    from midstream.sessions.access import Caller
    from midstream.sessions.answerers.terms import AnsweredBy, Asked, DeskRow, Person
    from midstream.sessions.types import Idle


class HandoffService(Protocol):
    """Who answers a session. See `handoffs.Handoffs` for what each raises."""

    def check_operator(self, caller: Caller) -> None:
        """Raise ForbiddenError unless the caller answers for others."""
        ...

    async def ask(self, caller: Caller, session_id: SessionId, asked: Asked) -> AnsweredBy:
        """Ask for a person."""
        ...

    async def claim(self, caller: Caller, session_id: SessionId, name: str = "") -> AnsweredBy:
        """Take a session that waits, or keep it."""
        ...

    async def release(
        self, caller: Caller, session_id: SessionId, note: str = "", name: str = ""
    ) -> AnsweredBy:
        """Give it back to the line."""
        ...

    async def transfer(
        self, caller: Caller, session_id: SessionId, to: Person, note: str = "", name: str = ""
    ) -> AnsweredBy:
        """Give it to another person."""
        ...

    async def hand_back(
        self, caller: Caller, session_id: SessionId, note: str = "", name: str = ""
    ) -> AnsweredBy:
        """Give it back to its agent."""
        ...

    async def answer(
        self, caller: Caller, session_id: SessionId, text: str, *, done: bool, name: str = ""
    ) -> AnsweredBy:
        """Say something in the place of the model."""
        ...


class DeskFollower(Protocol):
    """A reader of a desk: events of an event stream. See `types.RunReader` for its use."""

    async def __aenter__(self) -> DeskFollower: ...
    async def __aexit__(self, *exc: object) -> None: ...
    def __aiter__(self) -> AsyncIterator[bytes | Idle]: ...

    def write_to(self, sink: Callable[[bytes], bool]) -> None:
        """See `types.RunReader`."""
        ...


class DeskService(Protocol):
    """The sessions that wait for a person, or have one."""

    async def rows(self, tenant: TenantId) -> Sequence[DeskRow]:
        """Return those of a tenant, the longest first."""
        ...

    def follow(self, tenant: TenantId) -> DeskFollower:
        """Return a reader of a tenant's desk: the whole of it, each time that it changes."""
        ...


class HandoffServices(Protocol):
    """Both."""

    @property
    def handoffs(self) -> HandoffService:
        """Sessions that people answer."""
        ...

    @property
    def desk(self) -> DeskService:
        """The list of them."""
        ...
