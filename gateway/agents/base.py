"""What the gateway asks of whatever answers: a run's chunks, and nothing about how to keep them.

The runs of a durable agent outlive the process that produces them: the agent remembers, as it
goes, where its run is. If the process dies, another one takes the run over and asks its own agent
of the same name to go on: from the last point that was remembered, saying again, chunk by chunk,
what the log holds after it, and then the rest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Container, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec
from msgspec import Raw, Struct

from midstream.ids import NO_TENANT, RunId, SessionId, TenantId, UserId
from midstream.protocol.chunks import AnyChunk
from midstream.protocol.cut_calls import (
    INTERRUPTED_CALL,
    UNCALLED,
    WaitingCall,
    interrupts_unfinished,
)
from midstream.protocol.messages import UIMessage
from midstream.protocol.parts import fields_of, json_of
from midstream.protocol.requests import SendTrigger

if TYPE_CHECKING:
    from midstream.providers.base import Usage


class Interrupted(Struct, frozen=True, kw_only=True):
    """What a process that died left of a run.

    Attributes:
        chunks: all that the log holds of the run, oldest first; `start` is the first.
        next: the sequence at which the last remembered point was true: what `chunks` holds
            from there on is to be said again.
        point: what the agent remembered there; empty if it had not come to that.
    """

    chunks: Sequence[AnyChunk]
    next: int
    point: bytes

    @property
    def held(self) -> Sequence[AnyChunk]:
        """What the log holds from the point on."""
        return self.chunks[self.next :]


class RunMemory(Protocol):
    """What outlives the process that produces a run."""

    @property
    def interrupted(self) -> Interrupted | None:
        """What another process left; None for a run that begins here."""
        ...

    @property
    def next(self) -> int:
        """The sequence of the next chunk that the agent yields."""
        ...

    async def remember(self, point: bytes, *, required: bool = True) -> None:
        """Keep `point`, once everything yielded so far is in the log.

        Args:
            required: wait for as long as a run may wait for Redis. Otherwise it is left out
                when Redis does not answer soon.

        Raises:
            StoreUnavailableError: it was required, and Redis stayed away.
        """
        ...


class DurableRuns(Protocol):
    """The ability of an agent to go on with a run in another process. See `AgentTraits`.

    Its `stream` then yields what comes after `request.memory.interrupted.next`, if that is set.
    """

    def can_go_on(self, interrupted: Interrupted) -> bool:
        """Whether the run can be resumed without diverging from the log; if not, it is closed."""
        ...

    async def abandon(self, point: bytes) -> None:
        """Release what a run holds elsewhere that has come to `point` and will not go on.

        Bounded in time; never fails.
        """
        ...


class Spending(Struct):
    """What a run has used so far, for the limits of its caller. None: its agent does not say."""

    tokens: int | None = None

    def note(self, usage: Usage | None) -> None:
        """Say what it has used in all."""
        if usage is not None and usage.tokens is not None:
            self.tokens = usage.tokens


class AgentRequest(Struct, frozen=True, kw_only=True):
    """One run, as the agent sees it.

    Attributes:
        history: the conversation up to and including the message to answer, oldest first,
            from the server's log. For a continuation its last one is the assistant message
            that the run goes on with.
        model: a model the client asked for, or None for the agent's own.
        body: the request's extra body fields, as the client sent them.
        new_id: makes ids for parts; unique within the process.
        trigger, target_id: what the client asked for, and the message that it named for it
            (the AI SDK's `messageId`), if it did.
        headers: those of the client's request that some agent may forward; names in lower
            case.
        tenant: whose people `user` is one of; the same name in another is another person.
        memory: set for agents whose runs outlive their process (`AgentTraits.durable`).
        begun: ids of the calls whose tools were started; an agent that executes tools adds to
            it, so that a cut run can say of each whether it may have taken effect.
        spent: an agent that knows what its run has used says so here.
    """

    session_id: SessionId
    run_id: RunId
    message_id: str
    user: UserId
    history: Sequence[UIMessage]
    model: str | None
    body: Raw
    new_id: Callable[[], str]
    trigger: SendTrigger = "submit-message"
    target_id: str | None = None
    headers: Mapping[str, str] = {}
    tenant: TenantId = NO_TENANT
    memory: RunMemory | None = None
    begun: set[str] = msgspec.field(default_factory=set)
    spent: Spending = msgspec.field(default_factory=Spending)

    def as_sent(self) -> bytes:
        """Return the request as the AI SDK's `DefaultChatTransport` makes it, as JSON.

        With the server's history; the client's own fields are there too.
        """
        fields = fields_of(self.body)
        fields["id"] = json_of(self.session_id)
        fields["messages"] = json_of([message.raw for message in self.history])
        fields["trigger"] = json_of(self.trigger)
        if self.target_id is not None:
            fields["messageId"] = json_of(self.target_id)
        if self.model is not None:
            fields["model"] = json_of(self.model)
        return bytes(json_of(fields))

    @property
    def continued(self) -> UIMessage | None:
        """The assistant message that the run goes on with, as it was before; None if none."""
        last = self.history[-1] if self.history else None
        return last if last is not None and last.role == "assistant" else None


class AgentOffer(Struct, frozen=True, kw_only=True):
    """An agent as a client may ask for it.

    Attributes:
        models: what it can be asked for, its own first; empty if it decides.
    """

    name: str
    models: Sequence[str] = ()


def executes_nothing(tool_name: str) -> bool:
    """Leave every tool to the client."""
    return False


class AgentTraits(Struct, frozen=True, kw_only=True):
    """Abilities of an agent beyond `stream`. The defaults are those of an agent with none.

    An ability is a field here, and is read from here alone: an agent that wraps another
    passes the whole value on, and so loses none of them.

    Attributes:
        executes: whether the agent executes calls of the tool of this name. No client may
            answer those; calls of other tools wait for the client.
        passes_on: its chunks are somebody else's stream. One that is not allowed where it
            stands is dropped; of any other agent it ends the run with an error.
        durable: set if its runs outlive the process that produces them.
        max_output_tokens: of one call of its model; None: not known.
    """

    executes: Callable[[str], bool] = executes_nothing
    passes_on: bool = False
    durable: DurableRuns | None = None
    max_output_tokens: int | None = None


class AnyAgent(Protocol):
    """Answers a message with chunks: a configured model, code, or a backend elsewhere."""

    @property
    def name(self) -> str:
        """As clients name it."""
        ...

    @property
    def traits(self) -> AgentTraits:
        """What it can do beyond `stream`; the same for as long as the agent lives."""
        ...

    def stream(self, request: AgentRequest) -> AsyncIterator[Sequence[AnyChunk]]:
        """Yield the run's chunks, as many at a time as there are.

        Without `start`, and without closing what is open at an error or a stop: the
        producer does both. An `abort` says that the agent gave up by itself: the run ends as
        one that was stopped. The last chunk is `finish` (its reason known); a generator that
        ends without one is finished for it. Raises GatewayError (its sentence is shown) or
        anything else (a bug: a general sentence is shown). Cancellation is a stop or a
        shutdown: release what is held (the upstream connection first) and re-raise.
        """
        ...


def cut_call(
    traits: AgentTraits | None, begun: Container[str], *, stopped: bool
) -> Callable[[WaitingCall], str | None]:
    """Return what is said of the calls that a cut run leaves. See `CutCall`.

    Args:
        traits: of the run's agent; None if that is not configured here.
        begun: the calls that its process has started.
        stopped: by a person, so that nobody goes on with the answer: then the provider's own
            calls are closed too.
    """

    def decide(call: WaitingCall) -> str | None:
        if call.provider_executed:
            return INTERRUPTED_CALL if stopped else None
        if traits is None or traits.executes is executes_nothing:
            return interrupts_unfinished(call)
        if not traits.executes(call.name):
            return None
        return INTERRUPTED_CALL if call.id in begun else UNCALLED

    return decide
