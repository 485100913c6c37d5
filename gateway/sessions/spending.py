"""Cost of a run for its caller: an estimate before it begins, a count when it has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from midstream.protocol.codec import UNREADABLE
from midstream.providers.base import Usage
from midstream.sessions.types import RunCost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from msgspec import Raw

    from midstream.agents.base import AgentTraits
    from midstream.sessions.types import StartRequest

UNKNOWN_TOKENS: Final = 4_096
"""Estimate for an answer of unknown length, while it is written."""

BYTES_A_TOKEN: Final = 4
"""Estimate for a message without a count of its tokens."""


class _Metadata(Struct):
    """Metadata of a message, as the AI SDK names it."""

    usage: Usage | None = None


class _Message(Struct):
    metadata: _Metadata | None = None


_message: Final = msgspec.json.Decoder(_Message)


def cost_of(request: StartRequest, traits: AgentTraits | None = None) -> RunCost:
    """Estimate a send: its message, and its agent's longest answer."""
    known = None if traits is None else traits.max_output_tokens
    return RunCost(len(request.messages[-1].raw), UNKNOWN_TOKENS if known is None else known)


def cost_of_call(said: Sequence[Raw] | None) -> RunCost:
    """Estimate a proxied call."""
    return RunCost(sum(len(bytes(part)) for part in said or ()), UNKNOWN_TOKENS)


def tokens_told(message: bytes) -> int | None:
    """Return the tokens that a message's metadata says were used; None if it does not say."""
    try:
        metadata = _message.decode(message).metadata
    except UNREADABLE:
        return None
    return None if metadata is None or metadata.usage is None else metadata.usage.tokens


def tokens_used(
    message: bytes, *, known: int | None = None, before: bytes | None = None, whole: bool
) -> int:
    """Return the tokens of a run: as its agent counts, else by the length of its message.

    Args:
        message: the message of the run, with its metadata.
        known: the tokens that the agent has counted itself.
        before: the message before the run, if the run continues it: its metadata may count the
            tokens of an earlier run.
        whole: the run ended by itself. The last step's tokens of a cut run are not known: a
            caller who stops each answer before its end would use none.
    """
    if known is None and before is None:
        known = tokens_told(message)
    if known is not None and whole:
        return known
    written_bytes = len(message) - len(before or b"")
    return max(known or 0, written_bytes // BYTES_A_TOKEN)
