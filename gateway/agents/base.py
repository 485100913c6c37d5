"""What the gateway asks of an agent: a run's chunks, and nothing about how to keep them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from msgspec import Raw, Struct

from gateway.ids import RunId, SessionId, UserId
from protocol.messages import UIMessage

if TYPE_CHECKING:
    from protocol.chunks import AnyChunk


class AgentRequest(Struct, frozen=True, kw_only=True):
    """One run, as the agent sees it.

    Attributes:
        history: the conversation up to and including the message to answer, oldest first,
            from the server's log. For a continuation its last one is the assistant message
            that the run goes on with.
        model: a model the client asked for, or None for the agent's own.
        body: the request's extra body fields, as the client sent them.
        new_id: makes ids for parts; unique within the process.
    """

    session_id: SessionId
    run_id: RunId
    message_id: str
    user: UserId
    history: Sequence[UIMessage]
    model: str | None
    body: Raw
    new_id: Callable[[], str]


class AgentOffer(Struct, frozen=True, kw_only=True):
    """An agent as a client may ask for it.

    Attributes:
        models: what it can be asked for, its own first; empty if it decides.
    """

    name: str
    models: Sequence[str] = ()


class Agent(Protocol):
    """Answers a message with chunks.

    An agent may have an attribute `passes_on`, true if its chunks are what somebody else's
    stream comes to: one that is not allowed where it stands is then dropped, instead of being
    the end of the run.
    """

    @property
    def name(self) -> str:
        """As clients name it."""
        ...

    def stream(self, request: AgentRequest) -> AsyncIterator[Sequence[AnyChunk]]:
        """Yield the run's chunks, as many at a time as there are.

        Without `start`, and without closing what is open at an error or a stop: the
        producer does both. The last chunk is `finish` (its reason known); a generator that
        ends without one is finished for it. Raises GatewayError (its sentence is shown) or
        anything else (a bug: a general sentence is shown). Cancellation is a stop or a
        shutdown: release what is held (the upstream connection first) and re-raise.
        """
        ...


@runtime_checkable
class ExecutesTools(Protocol):
    """An agent that knows which tools it executes; calls of others wait for the client."""

    def executes(self, tool_name: str) -> bool:
        """Whether the agent executes calls of this tool, so that no client may answer them."""
        ...
