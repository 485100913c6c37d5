"""Contract of agents: they yield the chunks of a run; the gateway stores them.

The runs of a durable agent outlive the process that produces them. The agent remembers points of
its run. If the process dies, another one takes the run over, and its own agent of the same name
resumes at the last point: it yields the chunks again that the log holds after the point, and then
the rest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Container, Iterable, Mapping, Sequence
from typing import Protocol

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
from midstream.protocol.foreign import foreign_form
from midstream.protocol.messages import UIMessage
from midstream.protocol.parts import fields_of, json_of
from midstream.protocol.requests import SendTrigger
from midstream.providers.base import Usage


class Interrupted(Struct, frozen=True, kw_only=True):
    """The state of a run whose process died.

    Attributes:
        chunks: the run's chunks in the log, oldest first; `start` is the first.
        next: the sequence of the last remembered point: the agent yields the chunks from there
            on again.
        point: the point, as the agent remembered it; empty if it remembered none.
    """

    chunks: Sequence[AnyChunk]
    next: int
    point: bytes

    @property
    def held(self) -> Sequence[AnyChunk]:
        """The chunks in the log from the point on."""
        return self.chunks[self.next :]


class RunMemory(Protocol):
    """Memory of a run that outlives the process that produces it."""

    @property
    def interrupted(self) -> Interrupted | None:
        """The state that another process left; None for a run that begins here."""
        ...

    @property
    def next(self) -> int:
        """The sequence of the next chunk to be stored.

        Pending chunks have none yet: see `reached`.
        """
        ...

    async def reached(self) -> int:
        """Wait until everything yielded so far is in the log, and return the next sequence.

        Raises:
            StoreUnavailableError: Redis stayed unavailable.
        """
        ...

    async def remember(self, point: bytes, *, required: bool = True) -> None:
        """Keep `point`, once everything yielded so far is in the log.

        Args:
            required: wait for as long as a run may wait for Redis. Otherwise the point is
                skipped when Redis does not answer soon, or when a resumed agent has said only
                a part of a delta of the log.

        Raises:
            StoreUnavailableError: it was required, and Redis stayed unavailable.
        """
        ...


class DurableRuns(Protocol):
    """The ability of an agent to resume a run in another process. See `AgentTraits`.

    Its `stream` then yields the chunks from `request.memory.interrupted.next` on, if that is set.
    """

    def can_resume(self, interrupted: Interrupted) -> bool:
        """Whether the run can be resumed without diverging from the log; if not, it is closed."""
        ...

    async def abandon(self, point: bytes) -> None:
        """Release the resources elsewhere of a run at `point` that will not be resumed.

        Bounded in time; never fails.
        """
        ...


class Spending(Struct):
    """Usage of a run so far, for the limits of its caller. None: its agent does not report it."""

    tokens: int | None = None
    usage: Usage | None = None

    def note(self, usage: Usage | None) -> None:
        """Say what it has used in all."""
        if usage is not None and usage.tokens is not None:
            self.tokens = usage.tokens
            self.usage = usage


class Emission(Protocol):
    """A way for an agent to give its run's chunks by call, between two lists that it yields."""

    def take(self, chunks: Sequence[AnyChunk]) -> bool:
        """Take chunks as if they had been yielded.

        Also outside of the task that asks the agent for its next list, as long as that waits.

        Returns:
            Whether no more may come before `room` has returned.

        Raises:
            Whatever ends the run: the agent lets it through, and gives nothing more.
        """
        ...

    async def room(self) -> None:
        """Wait until more may come."""
        ...


class Steering(Protocol):
    """Messages that people give to a run while it is under way.

    An agent takes what waits, yields a `steering-message` chunk of each (`steering_chunk`), and
    then confirms it. What is not confirmed by the end of the run, and does not stand in its
    message, goes back to its sender.
    """

    undelivered: str | None
    """Why what waits at the run's end was not delivered, in the AI SDK's words; None: as its end
    says."""

    @property
    def waits(self) -> bool:
        """Whether there may be a message that nobody has taken."""
        ...

    async def arrival(self) -> None:
        """Wait until there may be one."""
        ...

    async def take(self, step: int) -> Sequence[UIMessage]:
        """Return the messages for a step, oldest first, each once; empty if Redis is away."""
        ...

    async def confirm(self, ids: Iterable[str], step: int | None = None) -> None:
        """Note that these have been yielded; never fails.

        Args:
            step: the one that reads them, if it is not the one that they were taken for.
        """
        ...

    async def refuse(self, id_: str, reason: str) -> None:
        """Give back a message that was taken, now; never fails.

        Args:
            reason: in the AI SDK's words.
        """
        ...

    async def told(self) -> UIMessage:
        """Return the run's message with all that was yielded so far."""
        ...


class AgentRequest(Struct, frozen=True, kw_only=True):
    """One run, as the agent sees it.

    Attributes:
        history: the conversation up to and including the message to answer, oldest first,
            from the server's log. For a continuation the last one is the assistant message
            that the run continues.
        model: the model that the client requested, or None for the agent's own.
        body: the request's extra body fields, as the client sent them.
        new_id: makes ids for parts; unique within the process.
        trigger, target_id: the AI SDK's `trigger`, and its `messageId`, if the client sent one.
        headers: those of the client's request that some agent may forward; names in lower
            case.
        tenant: of the user; the same name in another tenant is another person.
        memory: set for agents whose runs outlive their process (`AgentTraits.durable`).
        begun: ids of the calls whose tools were started. An agent that executes tools adds to
            it, so that an interrupted run can tell whether each may have taken effect.
        spent: tokens that the run has used; an agent that knows them notes them here.
        emission: takes chunks by call, which costs less than yielding them. An agent need not
            use it. One that changes another agent's chunks passes the request on without it.
        steering: messages for the run; None: nobody can send any.
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
    emission: Emission | None = None
    steering: Steering | None = None

    def as_sent(self) -> bytes:
        """Return the request as the AI SDK's `DefaultChatTransport` makes it, as JSON.

        With the server's history, in which what a person said to a running answer is a message of
        its own; the client's own fields are there too.
        """
        fields = fields_of(self.body)
        fields["id"] = json_of(self.session_id)
        told = [raw for message in self.history for raw in foreign_form(message)]
        fields["messages"] = json_of(told)
        fields["trigger"] = json_of(self.trigger)
        if self.target_id is not None:
            fields["messageId"] = json_of(self.target_id)
        if self.model is not None:
            fields["model"] = json_of(self.model)
        return bytes(json_of(fields))

    @property
    def continued(self) -> UIMessage | None:
        """The assistant message that the run continues, before the run; None if none."""
        last = self.history[-1] if self.history else None
        return last if last is not None and last.role == "assistant" else None


class AgentOffer(Struct, frozen=True, kw_only=True):
    """An agent as it is offered to clients.

    Attributes:
        models: that a client may request, its own first; empty if the agent decides.
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
        passes_on: its chunks are another party's stream. An illegal one is dropped; of any
            other agent it ends the run with an error.
        durable: set if its runs outlive the process that produces them.
        max_output_tokens: of one call of its model; None: not known.
        steers: whether its runs take messages up (`AgentRequest.steering`).
    """

    executes: Callable[[str], bool] = executes_nothing
    passes_on: bool = False
    durable: DurableRuns | None = None
    max_output_tokens: int | None = None
    steers: bool = False


class AnyAgent(Protocol):
    """Answers a message with chunks: a configured model, code, or a backend elsewhere."""

    @property
    def name(self) -> str:
        """The name in clients' requests."""
        ...

    @property
    def traits(self) -> AgentTraits:
        """Abilities beyond `stream`; they never change."""
        ...

    def stream(self, request: AgentRequest) -> AsyncIterator[Sequence[AnyChunk]]:
        """Yield the run's chunks, as many at a time as are ready.

        Without `start`, and without the ends of open parts at an error or a stop: the
        producer adds both. An `abort` says that the agent gave up by itself: the run ends as
        one that was stopped. The last chunk is `finish` (its reason known); a generator that
        ends without one is finished for it. Raises GatewayError (its sentence is shown) or
        anything else (a bug: a general sentence is shown). Cancellation is a stop or a
        shutdown: release what is held (the upstream connection first) and re-raise.
        """
        ...


class AgentFinder(Protocol):
    """The configured agents."""

    def find(self, name: str | None, model: str | None) -> AnyAgent:
        """Return the agent for a request.

        Raises:
            AgentNotFoundError: no such agent, or not with that model.
        """
        ...


def cut_call(
    traits: AgentTraits | None, begun: Container[str], *, stopped: bool
) -> Callable[[WaitingCall], str | None]:
    """Return the error text for each call that an interrupted run leaves. See `CutCall`.

    Args:
        traits: of the run's agent; None if that is not configured here.
        begun: the calls that its process has started.
        stopped: by a person, so that the answer is not resumed: then the provider's own calls
            are closed too.
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
