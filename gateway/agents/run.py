"""A run, as an agent in Python sees it: what was asked, and the means to answer."""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from gateway.agents.run_tool import ToolCall
from gateway.providers.prompts.provider_prompt import ProviderPrompt, provider_prompt
from protocol.chunks import AbortChunk, ErrorChunk, FinishChunk, StartChunk
from protocol.composer import as_chunk
from protocol.sse import DONE_DATA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from msgspec import Raw

    from gateway.agents.base import AgentRequest
    from gateway.agents.outbox import Outbox
    from gateway.ids import RunId, SessionId, UserId
    from protocol.chunks import AnyChunk, FinishReason
    from protocol.composer import Composer
    from protocol.messages import UIMessage


class Run:
    """One run: the conversation so far, and one method for each thing that an answer has.

    Parts, steps and blocks open and close by themselves. Chunks are sent in the order of the
    calls. A call that makes an illegal chunk raises `IllegalChunkError`, and sends nothing.
    Every method waits while too much is unsent, as it is while Redis is away. They are for the
    event loop's own thread; others use `asyncio.run_coroutine_threadsafe(..., run.loop)`.

    Attributes:
        loop: the event loop that it belongs to.
        finish_reason: why the answer ends. None: `tool-calls` if a call waits for its result,
            else `stop`.
        last_metadata: the message's metadata that `finish` brings, as JSON.
    """

    def __init__(self, request: AgentRequest, composer: Composer, outbox: Outbox) -> None:
        """Made by the gateway."""
        self.loop = asyncio.get_running_loop()
        self.finish_reason: FinishReason | None = None
        self.last_metadata: Raw | None = None
        self._request = request
        self._composer = composer
        self._outbox = outbox

    # -- what was asked -----------------------------------------------------------------------

    @property
    def id(self) -> RunId:
        """The run's id."""
        return self._request.run_id

    @property
    def session_id(self) -> SessionId:
        """The session's id: the AI SDK's chat id."""
        return self._request.session_id

    @property
    def message_id(self) -> str:
        """The message that the run writes."""
        return self._request.message_id

    @property
    def user(self) -> UserId:
        """Who asks: the token's `sub`; empty while `auth.mode` is `none`."""
        return self._request.user

    @property
    def model(self) -> str | None:
        """The model that the client asked for, if it did."""
        return self._request.model

    @property
    def messages(self) -> Sequence[UIMessage]:
        """The conversation, oldest first, up to and including the message to answer.

        If the run goes on with an answer whose tools were answered, the last one is that.
        """
        return self._request.history

    @cached_property
    def body(self) -> Mapping[str, Any]:
        """The request's further fields, as the client sent them: trust none of them."""
        fields: dict[str, Any] = msgspec.json.decode(self._request.body)
        return fields

    @property
    def raw_body(self) -> bytes:
        """The same, as JSON."""
        return bytes(self._request.body)

    @property
    def request(self) -> bytes:
        """The whole request as the AI SDK's transport makes it, with the messages above.

        JSON, `{id, messages, trigger, messageId, …}`: for what reads that elsewhere.
        """
        return self._request.as_sent()

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the request that the settings of some agent let through."""
        return self._request.headers

    def prompt(
        self, provider: ProviderPrompt, *, system: str | None = None, model: str = ""
    ) -> dict[str, Any]:
        """Return the conversation as a provider's API wants it: arguments for its SDK.

            anthropic.messages.create(..., **run.prompt("anthropic", system="Be brief."))
            openai.responses.create(..., **run.prompt("openai"))
            openai.chat.completions.create(..., **run.prompt("openai-chat"))

        Args:
            provider: `anthropic` (`messages` and `system`), `openai` (Responses: `input`) or
                `openai-chat` (Chat Completions: `messages`).
            system: the system prompt.
            model: the one to be called, where the form depends on it (OpenAI's reasoning
                models have a developer's prompt instead of a system's).
        """
        return provider_prompt(provider, self.messages, system=system, model=model)

    # -- its end ------------------------------------------------------------------------------

    @property
    def is_stopped(self) -> bool:
        """Whether a person stopped the run, or it was interrupted. Any thread may ask."""
        return self._outbox.cut_short

    async def stopped(self) -> bool:
        """Wait for the run's end; return whether it was a stop or an interruption.

        For tasks, threads and subprocesses of the agent's own: the agent itself is cancelled.
        """
        await self._outbox.over.wait()
        return self._outbox.cut_short

    # -- the answer ---------------------------------------------------------------------------

    async def text(self, delta: str) -> None:
        """Say more of the answer."""
        self._outbox.check()
        self._outbox.put(self._composer.text(delta))
        if self._outbox.is_full:
            await self._outbox.room()

    async def reasoning(self, delta: str, *, provider_metadata: object = UNSET) -> None:
        """Think aloud; metadata belongs to the part (a provider's signature, for example)."""
        self._outbox.check()
        await self._outbox.send(
            self._composer.reasoning(delta, provider_metadata=provider_metadata)
        )

    def tool(
        self,
        name: str,
        tool_input: object = UNSET,
        *,
        call_id: str | None = None,
        title: str | None = None,
        dynamic: bool = False,
    ) -> ToolCall:
        """Call a tool, and show its result; see `ToolCall`.

            async with run.tool("weather", {"city": "Rome"}) as call:
                await call.output(await weather("Rome"))

        Args:
            name: the tool's.
            tool_input: any JSON; left out, it is streamed by `call.input`.
            call_id: the provider's, if it has one.
            title: for people.
            dynamic: the client does not know the tool: its part is a `dynamic-tool`.
        """
        return ToolCall(
            self._composer,
            self._outbox,
            name,
            tool_input,
            call_id=call_id,
            title=title,
            dynamic=dynamic,
        )

    async def source(
        self, url: str, title: str | None = None, *, source_id: str | None = None
    ) -> None:
        """Name a web page that the answer uses."""
        self._outbox.check()
        await self._outbox.send(self._composer.source(url, title, source_id=source_id))

    async def document(
        self,
        title: str,
        media_type: str,
        *,
        filename: str | None = None,
        source_id: str | None = None,
    ) -> None:
        """Name a document that the answer uses."""
        self._outbox.check()
        await self._outbox.send(
            self._composer.document(title, media_type, filename=filename, source_id=source_id)
        )

    async def file(self, url: str, media_type: str) -> None:
        """Show a file; the address may be a data URL."""
        self._outbox.check()
        await self._outbox.send(self._composer.file(url, media_type))

    async def data(
        self, name: str, value: object, *, part_id: str | None = None, transient: bool = False
    ) -> None:
        """Send a `data-NAME` part. One with the id of an earlier one replaces it.

        Args:
            name: what follows `data-`.
            value: any JSON.
            part_id: the part's id.
            transient: for who is there now; never part of the message.
        """
        self._outbox.check()
        await self._outbox.send(
            self._composer.data(name, value, part_id=part_id, transient=transient)
        )

    async def status(self, text: str) -> None:
        """Say what goes on, for who is there now: a transient `data-status` `{text}`."""
        self._outbox.check()
        await self._outbox.send(self._composer.status(text))

    async def metadata(self, metadata: Mapping[str, object]) -> None:
        """Merge into the message's metadata."""
        self._outbox.check()
        await self._outbox.send(self._composer.metadata(metadata))

    async def step(self) -> None:
        """Begin the next step, whatever the calls of this one came to."""
        self._outbox.check()
        await self._outbox.send(self._composer.step())

    async def chunk(self, chunk: AnyChunk | Mapping[str, object] | bytes | str) -> None:
        """Send any chunk, as a Struct, a mapping, or its JSON: another stream's, for example.

        The run writes its own `start` and `finish`: of these, the metadata and the reason are
        taken. An `error` fails the run with its text, and an `abort` ends it as a stop does;
        nothing can be written after them. The mark `[DONE]` at a stream's end is nothing.

        Raises:
            MalformedFrameError: it is no chunk.
            IllegalChunkError: it is not allowed here.
        """
        self._outbox.check()
        if chunk in (DONE_DATA, DONE_DATA.decode()):
            return
        made = as_chunk(chunk)
        match made:
            case StartChunk():
                if made.message_metadata is not UNSET:
                    await self.metadata(msgspec.json.decode(made.message_metadata))
            case FinishChunk():
                if made.finish_reason is not UNSET:
                    self.finish_reason = made.finish_reason
                if made.message_metadata is not UNSET:
                    self.last_metadata = made.message_metadata
            case ErrorChunk() | AbortChunk():
                self._outbox.put([made])
                self._outbox.close()
            case _:
                await self._outbox.send(self._composer.chunk(made))
