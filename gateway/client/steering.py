"""The messages that people give to a run while its worker writes it.

The gateway has each until the run's chunks have it: what this process has received and not written
is given to the next attempt.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import TYPE_CHECKING, Final

import msgspec

from midstream.answer import Answer
from midstream.client.errors import MidstreamError, RunOver
from midstream.protocol.errors import MalformedFrameError
from midstream.protocol.messages import UIMessage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from msgspec import Raw

    from midstream.client.attempt import Attempt

MAX_NAMED: Final = 100
"""Ids that a renewal names: more than the gateway lets wait for a run at once."""


class Steers:
    """What has come for a run, and is not taken up yet.

    An attempt that replays takes up what the earlier one had taken up, at the same points.
    """

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._seen = dict.fromkeys(attempt.taken_up())
        self._waiting: list[UIMessage] = []
        self._moved = asyncio.Event()
        self._is_asked = asyncio.Event()
        self._is_over = False

    def asked(self) -> bytes:
        """Return the body of a renewal, with the newest ids: the gateway sends the others."""
        return msgspec.json.encode({"steers": list(self._seen)[-MAX_NAMED:]})

    def receive(self, messages: Iterable[Raw]) -> None:
        """Take what a renewal has brought: possibly nothing."""
        self._is_asked.set()
        for each in messages:
            try:
                message = UIMessage.parse(each)
            except MalformedFrameError:
                continue  # of a newer version: it comes back at the run's end
            if message.id not in self._seen:
                self._waiting.append(message)
            self._seen.pop(message.id, None)  # the newest is last
            self._seen[message.id] = None
        self.move()

    def take(self) -> Sequence[UIMessage]:
        """Return what is to be taken up now, oldest first."""
        repeated = self._attempt.steering()
        if repeated is not None:
            return repeated
        taken, self._waiting = self._waiting, []
        return taken

    def move(self) -> None:
        """Wake those who wait: something has come, or the attempt has written more."""
        self._moved.set()
        self._moved = asyncio.Event()

    def end(self) -> None:
        """Note the run's end: nothing more will be taken up."""
        self._is_over = True
        self._is_asked.set()
        self.move()

    async def ready(self) -> None:
        """Wait until the gateway was asked once: what waits was there before this attempt."""
        await self._is_asked.wait()

    async def arrival(self) -> bool:
        """Wait until there is something to take up; False: the run has ended."""
        while not self._is_over:
            repeated = self._attempt.steering()
            if repeated or (repeated is None and self._waiting):
                return True
            await self._moved.wait()
        return False


class SteeredAnswer(Answer):
    """The part of a `Run` that brings what people say to it.

    Attributes:
        steers: what has come; None: the run was not made to read it, or is not open.
    """

    steers: Steers | None = None

    async def take_steering(self) -> Sequence[UIMessage]:
        """Take the messages that people have given to this answer, oldest first.

        Each comes once, and stands in the answer from then on: the step before it ends there. What
        is not taken goes back to its sender when the run ends. An attempt that replays gets those
        of the earlier one at the same calls.

        Raises:
            RuntimeError: the run was not made with `steering=True`.
        """
        self._check()
        steers = self._opened_steers()
        await steers.ready()
        messages = steers.take()
        if messages:
            await self.emit(self.composer.steering(messages))
            await self.flush()
        return messages

    @property
    async def steering(self) -> AsyncIterator[UIMessage]:
        """The messages that people give to this answer, as they come, until the run ends.

        async for message in run.steering:
            agent.send(message.text)

        Beside the body it cannot be replayed: use it with `on_retry="continue"`.
        """
        steers = self._opened_steers()
        while await steers.arrival():
            try:
                messages = await self.take_steering()
            except (RunOver, MidstreamError):
                if self.is_stopped:
                    return  # the body is told
                raise
            for message in messages:
                yield message

    @property
    @abstractmethod
    def is_stopped(self) -> bool:
        """Whether the run takes no more chunks."""

    @abstractmethod
    def _check(self) -> None:
        """Raise what ends the body, once the run takes no more chunks."""

    @abstractmethod
    async def flush(self) -> None:
        """Wait until everything written so far is stored."""

    def _opened_steers(self) -> Steers:
        if self.steers is None:
            raise RuntimeError(
                "unable to read what people say to this run; make it with `steering=True`"
            )
        return self.steers
