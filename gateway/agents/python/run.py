"""The run of an agent in Python: its request, and methods to answer."""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from midstream.answer import Answer
from midstream.answer.checks import checked_delta
from midstream.ids import new_id
from midstream.providers.sdk_prompt import provider_prompt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from midstream.agents.base import AgentRequest
    from midstream.agents.python.outbox import Outbox
    from midstream.ids import RunId, SessionId, TenantId, UserId
    from midstream.protocol.chunks import AbortChunk, AnyChunk, ErrorChunk
    from midstream.protocol.composer import Composer
    from midstream.protocol.messages import UIMessage


class Run(Answer):
    """One run: the conversation so far, and one method for each kind of content.

    Parts, steps and blocks open and close by themselves. Chunks are sent in the order of the
    calls. A call that makes an illegal chunk raises `IllegalChunkError`, and sends nothing.
    Every method waits while too many chunks are unsent, as they are while Redis is unavailable.
    Methods are for the event loop's own thread; other threads use
    `asyncio.run_coroutine_threadsafe(..., run.loop)`.

    Attributes:
        loop: the event loop that it belongs to.
    """

    def __init__(self, request: AgentRequest, composer: Composer, outbox: Outbox) -> None:
        """Made by the gateway."""
        super().__init__()
        self.loop = asyncio.get_running_loop()
        self._request = request
        self._composer = composer
        self._outbox = outbox

    # -- the request --------------------------------------------------------------------------

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
        """The user: the token's `sub`; empty while `auth.mode` is `none`."""
        return self._request.user

    @property
    def tenant(self) -> TenantId:
        """The tenant of `user`, from the token; empty if tokens have none."""
        return self._request.tenant

    @property
    def model(self) -> str | None:
        """The model that the client requested, if it did."""
        return self._request.model

    @property
    def messages(self) -> Sequence[UIMessage]:
        """The conversation, oldest first, up to and including the message to answer.

        If the run continues an answer after tool results, the last message is that answer.
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

        JSON, `{id, messages, trigger, messageId, …}`, for another server that reads it.
        """
        return self._request.as_sent()

    @property
    def headers(self) -> Mapping[str, str]:
        """The request's headers that the settings of any agent forward."""
        return self._request.headers

    def prompt(
        self, provider: str, *, system: str | None = None, model: str = ""
    ) -> dict[str, Any]:
        """Return the conversation in a provider's form, as arguments for its SDK.

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
        """Whether the run was stopped or interrupted. Safe from any thread."""
        return self._outbox.cut_short

    async def stopped(self) -> bool:
        """Wait for the run's end; return whether it was a stop or an interruption.

        For tasks, threads and subprocesses of the agent's own: the agent itself is cancelled.
        """
        await self._outbox.over.wait()
        return self._outbox.cut_short

    # -- what people say meanwhile -------------------------------------------------------------

    async def take_steering(self) -> Sequence[UIMessage]:
        """Take the messages that people have given to this answer, oldest first.

        Each comes once, and stands in the answer from then on: the step before it ends there. What
        is not taken goes back to its sender when the run ends.
        """
        steering = self._request.steering
        if steering is None or not steering.waits:
            return ()
        self._outbox.check()
        messages = await steering.take(self._composer.steps)
        if messages:
            await self.emit(self._composer.steering(messages))
            if await self._outbox.handed():
                await steering.confirm([message.id for message in messages])
        return messages

    @property
    async def steering(self) -> AsyncIterator[UIMessage]:
        """The messages that people give to this answer, as they come, until the run ends.

        async for message in run.steering:
            agent.send(message.text)
        """
        steering = self._request.steering
        over = asyncio.create_task(self._outbox.over.wait())
        try:
            while steering is not None and not over.done():
                arrival = asyncio.create_task(steering.arrival())
                try:
                    await asyncio.wait({arrival, over}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    arrival.cancel()
                if over.done():
                    return
                for message in await self.take_steering():
                    yield message
        finally:
            over.cancel()

    # -- the answer ---------------------------------------------------------------------------

    @property
    def composer(self) -> Composer:
        """Makes chunks; see `Answer`."""
        self._outbox.check()
        return self._composer

    async def emit(self, chunks: Sequence[AnyChunk]) -> None:
        """Send chunks, and wait while there are too many."""
        await self._outbox.send(chunks)

    def new_id(self) -> str:
        """Return an id for a call."""
        return new_id("call")

    def give_up(self, last: ErrorChunk | AbortChunk) -> None:
        """End the run: failed with an error's text, or as a stop does."""
        self._outbox.check()
        self._outbox.put([last])
        self._outbox.close()

    async def text(self, delta: str) -> None:
        """Say more of the answer."""
        # As `Answer.text`, but with one coroutine less a word.
        if type(delta) is not str or not delta.isascii():
            delta = checked_delta("run.text", "delta", delta)
        self._outbox.check()
        self._outbox.put(self._composer.text(delta))
        if self._outbox.is_full:
            await self._outbox.room()
