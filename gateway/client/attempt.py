"""Compares one attempt at a run with the chunks that earlier attempts have stored.

Sans-IO. `replay`: the attempt writes the same answer from its beginning; stored chunks are
compared, and not sent. `continue`: the attempt resumes after the stored chunks.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from msgspec import UNSET

from midstream.client.errors import ReplayMismatchError
from midstream.protocol.assembler import Assembler
from midstream.protocol.chunks import (
    FinishStepChunk,
    ReasoningEndChunk,
    SteeringMessageChunk,
    TextEndChunk,
)
from midstream.protocol.codec import decode, encode
from midstream.protocol.composer import Composer
from midstream.protocol.messages import UIMessage
from midstream.protocol.refused_keys import encode_readable
from midstream.protocol.steering import steering_message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.client.wire import Claim
    from midstream.protocol.chunks import AnyChunk

OnRetry = Literal["replay", "continue"]

_ENDS: Final = (TextEndChunk, ReasoningEndChunk, FinishStepChunk)
"""What ends a step before messages are taken up."""


class Attempt:
    """Makes a run's chunks, and selects the new ones.

    Attributes:
        composer: for the run's methods.
    """

    def __init__(self, claim: Claim, on_retry: OnRetry) -> None:
        base = None if claim.message is UNSET else UIMessage.parse(claim.message)
        stored = [decode(bytes(chunk)) for chunk in claim.chunks]
        self._prefix = claim.run_id[-6:]
        # Each id has at least one chunk of its own, so an id from here on is not in use.
        self._numbers = count(len(stored) if on_retry == "continue" else 1)
        self.composer = Composer(claim.message_id, self.new_id, base)
        self._assembler = Assembler(claim.message_id, base)
        self._assembler.apply_all(stored[:1])
        self._stored = list(map(encode, stored[1:]))
        self._repeated = 0
        if on_retry == "continue":
            self.composer.resume(stored)
            self._assembler.apply_all(stored[1:])
            self._repeated = len(self._stored)

    def new_id(self) -> str:
        """Return the next id; attempts that replay get the same ids in the same order."""
        return f"{self._prefix}-{next(self._numbers)}"

    def say(self, chunks: Sequence[AnyChunk]) -> list[bytes]:
        """Take the attempt's next chunks, and return the lines of those to send.

        Raises:
            ReplayMismatchError: a chunk differs from the stored one.
        """
        _, chunks = encode_readable(chunks)
        lines = list(map(encode, chunks))
        known = self._stored[self._repeated : self._repeated + len(lines)]
        for index, line in enumerate(known):
            if line != lines[index]:
                raise ReplayMismatchError(self._repeated + index + 1)
        self._repeated += len(known)
        self._assembler.apply_all(chunks)
        return lines[len(known) :]

    def taken_up(self) -> list[str]:
        """Return the ids of people's messages in the stored chunks."""
        stored = map(decode, self._stored)
        return [chunk.id for chunk in stored if isinstance(chunk, SteeringMessageChunk)]

    def steering(self) -> list[UIMessage] | None:
        """Return the messages that an earlier attempt has taken up at this point.

        Returns:
            None: the stored chunks do not tell: they end here, or with the step before this point.
        """
        messages: list[UIMessage] = []
        for line in self._stored[self._repeated :]:
            chunk = decode(line)
            if isinstance(chunk, SteeringMessageChunk):
                messages.append(steering_message(chunk))
            elif messages or not isinstance(chunk, _ENDS):
                return messages
        return messages or None

    def missing(self) -> ReplayMismatchError | None:
        """Return the error of an attempt that ends before all stored chunks were repeated."""
        if self._repeated < len(self._stored):
            return ReplayMismatchError(self._repeated + 1)
        return None

    def message(self) -> dict[str, Any]:
        """Return the UIMessage so far."""
        message: dict[str, Any] = msgspec.json.decode(self._assembler.message())
        return message
