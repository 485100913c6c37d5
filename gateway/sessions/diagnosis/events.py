"""Events of a diagnosis, and the sentence of each."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from midstream.ids import RunId, SessionId


class MetFailure(StrEnum):
    """A failure that a person has met."""

    DROPPED_SESSION = "dropped-session"
    SILENT_AGENT = "silent-agent"
    TRAPPED_USER = "trapped-user"


SENTENCES: Final[Mapping[str, str]] = {
    "run_opened": "{agent} began to answer.",
    "first_chunk": "The first words came after {seconds} s.",
    "silence": "No word for {seconds} s.",
    "silence_in_tool": "No word for {seconds} s while the model called `{tool}`.",
    "still_silent": "No word for {seconds} s, and the answer is still open.",
    "still_silent_in_tool": (
        "No word for {seconds} s while the model calls `{tool}`; the answer is still open."
    ),
    "stop_requested": "A person pressed Stop.",
    "gave_way": "It gave way to a new message.",
    "stopped": "The answer ended {seconds} s after the stop; {tokens} more tokens were written.",
    "finished": "The answer ended after {seconds} s.",
    "failed": "The answer ended with an error after {seconds} s.",
    "interrupted": "The answer was cut off after {seconds} s: what wrote it stopped.",
    "ended": "The answer ended after {seconds} s ({outcome}).",
    "queued": "A message waits for its turn; {waiting} wait.",
    "queue_stopped": "The queue stands still since a stop; {waiting} messages wait.",
    "queue_failed": "The queue stands still since a failure; {waiting} messages wait.",
    "not_answered": "A queued message will not be answered.",
    "not_delivered": "A message for the running answer came too late.",
}
"""Code -> sentence; the params are named in it."""


class ToldEvent(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Something that happened.

    Attributes:
        params: what the sentence names.
        failure: the failure that it is.
    """

    at_ms: int
    code: str
    text: str
    params: Mapping[str, str | float] = {}
    run_id: RunId | None = None
    failure: MetFailure | None = None


class Diagnosis(Struct, frozen=True, kw_only=True, rename="camel"):
    """What happened in a session, as far as its log tells.

    Attributes:
        failures: how often each occurred.
        timeline: oldest first.
        complete: False: the log was trimmed, or is longer than what is read of it.
    """

    id: SessionId
    failures: Mapping[MetFailure, int]
    timeline: list[ToldEvent]
    complete: bool


def event(
    at_ms: int,
    code: str,
    run_id: RunId | None = None,
    *,
    failure: MetFailure | None = None,
    **params: str | float,
) -> ToldEvent:
    """Return an event with its sentence."""
    text = SENTENCES[code].format(**params)
    return ToldEvent(
        at_ms=at_ms, code=code, text=text, params=params, run_id=run_id, failure=failure
    )
