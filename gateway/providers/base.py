"""The contract of a provider: one step of a model, as chunks.

A provider is two things. A translator (sans-IO, one module a wire) turns the provider's
events into chunks and remembers the step's result. A shell opens the response through
the provider's SDK, reads its bytes, and feeds the translator.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, structs

from midstream.errors import ProviderError
from midstream.protocol.chunks import AnyChunk, FinishReason, Json
from midstream.protocol.messages import UIMessage
from midstream.providers.part_ids import PartIds

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager


class ToolOptions(Struct, frozen=True, kw_only=True):
    """Options of a function besides its schema; None leaves one to the API.

    A provider gets the options that its API has a field for, and no others.

    Attributes:
        strict: the model's input is held to the schema while it is written.
        defer_loading: the model finds the tool by a search, and is not told of it before.
        allowed_callers: who may call it: `direct`, or the API's name for code of the model's.
        input_examples: inputs that show how it is used.
        cache_control: the prompt is cached up to and with this tool (Anthropic's spelling).
        eager_input_streaming: its input is sent as it is written, before it is checked; on
            unless it is False.
    """

    strict: bool | None = None
    defer_loading: bool | None = None
    allowed_callers: Sequence[str] | None = None
    input_examples: Sequence[Mapping[str, object]] | None = None
    cache_control: Mapping[str, object] | None = None
    eager_input_streaming: bool | None = None

    def over(self, other: ToolOptions) -> ToolOptions:
        """Return these options, and the other's where these say nothing."""
        names = self.__struct_fields__
        ours = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return structs.replace(other, **ours)


class ToolSpec(Struct, frozen=True, kw_only=True):
    """A tool as the model sees it.

    Attributes:
        input_schema: JSON Schema.
        options: of a function.
        provider_type: set for the provider's own tools, with `provider_args` in the
            provider's spelling.
    """

    name: str
    description: str = ""
    input_schema: Raw = Raw(b'{"type":"object","properties":{}}')
    options: ToolOptions = ToolOptions()
    provider_type: str | None = None
    provider_args: Raw | None = None


InputCheck: TypeAlias = Callable[[str, Raw], str | None]
"""Returns the fault of an input of the named tool, for its model to read; None without one."""


def accept_any(_tool_name: str, _input: Raw) -> None:
    """The check that rejects nothing."""


class StepMemory(Protocol):
    """State of a step that outlives its process, for the process that resumes it."""

    @property
    def point(self) -> bytes:
        """Return what the step remembered in another process; empty for one that begins here."""
        ...

    async def remember(self, point: bytes, *, required: bool) -> None:
        """Keep `point`, in place of what was kept before.

        It is true of the moment at which exactly the chunks yielded so far are known: it is
        kept after them.

        Args:
            required: wait for as long as it takes. Otherwise it may be left out.

        Raises:
            StoreUnavailableError: it was required, and could not be kept for too long.
        """
        ...


class StepRequest(Struct, frozen=True, kw_only=True):
    """One call of a model.

    Attributes:
        messages: the history, oldest first; for a later step its last one is the assistant
            message so far.
        parameters: `max_output_tokens`, `temperature`, `top_p`, `stop_sequences`, … in the
            AI SDK's names, snake_case; absent ones are left to the provider.
        provider_options: merged over the request body, in the provider's spelling.
        new_id: makes ids where the provider gives none.
        part_ids: the part ids of the run, shared by all its steps.
        send_reasoning, send_sources: as the AI SDK's `toUIMessageStream` options.
        check_input: looks at the inputs of calls of declared tools.
        memory: set if another process must be able to resume the step; then `new_id`
            makes the same ids there.
    """

    model: str
    messages: Sequence[UIMessage]
    system: str | None = None
    tools: Sequence[ToolSpec] = ()
    tool_choice: str | None = None
    parameters: Mapping[str, object] = {}
    provider_options: Mapping[str, object] = {}
    new_id: Callable[[], str]
    part_ids: PartIds = msgspec.field(default_factory=PartIds)
    send_reasoning: bool = True
    send_sources: bool = False
    check_input: InputCheck = accept_any
    memory: StepMemory | None = None


class Usage(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Tokens, in the AI SDK's `LanguageModelUsage` shape."""

    class InputDetails(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
        """Input tokens by their use of the cache."""

        no_cache_tokens: int | None = None
        cache_read_tokens: int | None = None
        cache_write_tokens: int | None = None

    class OutputDetails(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
        """Output tokens by their purpose."""

        text_tokens: int | None = None
        reasoning_tokens: int | None = None

    input_tokens: int | None = None
    input_token_details: InputDetails | None = None
    output_tokens: int | None = None
    output_token_details: OutputDetails | None = None
    total_tokens: int | None = None
    raw: Raw | None = None

    @property
    def tokens(self) -> int | None:
        """Total; None if the provider gave no counts."""
        if self.total_tokens is not None:
            return self.total_tokens
        if self.input_tokens is None and self.output_tokens is None:
            return None
        return (self.input_tokens or 0) + (self.output_tokens or 0)


class PendingCall(Struct, frozen=True, kw_only=True):
    """A call of a tool that the provider does not execute itself, input complete.

    `metadata` is the provider's; the AI SDK repeats it with the call's output.
    """

    id: str
    name: str
    input: Raw
    metadata: Json | UnsetType = UNSET


class StepResult(Struct, kw_only=True):
    """Result of a step; final once its chunks are exhausted.

    Attributes:
        finish_reason: unified, as the AI SDK maps it.
        raw_finish_reason: the provider's own word.
        tool_calls: for the agent to execute, or to leave to the client.
        failure: the provider failed mid-stream: the run ends with this. What was yielded
            before stays.
        warning: something could not be read (an event that is not JSON); the step
            continued, and the run ends with an error that says so.
    """

    finish_reason: FinishReason = "other"
    raw_finish_reason: str | None = None
    usage: Usage | None = None
    model: str | None = None
    response_id: str | None = None
    tool_calls: Sequence[PendingCall] = ()
    failure: ProviderError | None = None
    warning: str | None = None


class Translator(Protocol):
    """Sans-IO: a provider's events in, chunks out."""

    result: StepResult

    @property
    def closing(self) -> bool:
        """Whether the response has said that it ends.

        Only its last event is waited for, with what may come before it (usage), and not for
        long. False again if more of the answer comes all the same.
        """
        ...

    @property
    def ended(self) -> bool:
        """Whether the protocol's last event was received, or `result.failure` is set.

        What comes after it changes nothing, except another message or response that has
        come along with it.
        """
        ...

    def receive(self, event: bytes) -> list[AnyChunk]:
        """Take one event's JSON (an SSE `data` field) and return its chunks, often one.

        The first is `start-step`, once the provider has begun. Never raises for what a
        provider sends: an unknown event is ignored, an unreadable one sets
        `result.warning`, an error event sets `result.failure`.
        """
        ...

    def receive_error(self, event: bytes) -> list[AnyChunk]:
        """Take the data of an event that is named an error: `result.failure` is set."""
        ...

    def receive_loss(self) -> list[AnyChunk]:
        """The provider failed, or the connection did: return what later requests must know."""
        ...

    def receive_eof(self) -> list[AnyChunk]:
        """The response ended: return what was held back, and complete `result`.

        One in which nothing of an answer has come sets `result.failure`.

        Parts still open stay open; `finish-step` is the agent's to write.
        """
        ...


Take: TypeAlias = Callable[[list[AnyChunk]], bool]
"""Takes a step's chunks; returns whether no more may come until there is `Room`."""

Room: TypeAlias = Callable[[], Awaitable[None]]
"""Waits for it."""


class StepStream(Protocol):
    """A step under way. Iterate it, or have it `pump`; then read `result`."""

    @property
    def result(self) -> StepResult:
        """Return the step's result; final once the iterator is exhausted."""
        ...

    def __aiter__(self) -> AsyncIterator[list[AnyChunk]]:
        """Yield chunks, one list a network read, never empty."""
        ...

    async def pump(self, take: Take, room: Room) -> None:
        """Call `take` with each list that iterating would yield, and return after the last.

        It may be called outside of the task that waits here; never after `room` was asked for
        and before that has returned, and never after this was cancelled.

        Raises:
            What the iterator raises, and what `take` and `room` raise.
        """
        ...


class Provider(Protocol):
    """A model provider, reached through its SDK."""

    @property
    def name(self) -> str:
        """Return the name of its kind, as in settings."""
        ...

    @property
    def deferring_tools(self) -> Collection[str]:
        """Types of its own tools that may leave a call's result to its next response."""
        ...

    @property
    def durable(self) -> DurableResponses | None:
        """Set if the API has responses that outlive a connection."""
        ...

    def open_step(self, request: StepRequest) -> AbstractAsyncContextManager[StepStream]:
        """Start a step; leaving the context closes the connection at once.

        Entering returns when the response's status is known: the SDK has retried what it
        retries.

        Raises:
            ProviderRejectedError, ProviderRateLimitedError, ProviderUnavailableError: from
            entering, or from the iterator when the connection is lost.
        """
        ...

    async def warm_up(self) -> None:
        """Import the SDK, in a thread: seconds that the first answer need not wait for.

        Raises:
            ProviderRejectedError: there is no key.
        """
        ...

    async def close(self) -> None:
        """Close the SDK's client."""
        ...


class DurableResponses(Protocol):
    """Responses that outlive a connection, and can be read again from a point."""

    def keeps(self, provider_options: Mapping[str, object]) -> bool:
        """Whether responses to requests with these options do."""
        ...

    async def cancel(self, point: bytes) -> None:
        """End the response that a step has remembered at `point`; bounded in time.

        Never fails: a response that cannot be ended now ends by itself.
        """
        ...
