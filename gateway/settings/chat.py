"""`[chat]`: messages that are sent while an answer is being written, and their queue."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from midstream.settings.fields import Bytes, OnActive, Seconds, Section


class ChatSettings(Section, frozen=True, kw_only=True):
    """Messages that are sent while an answer is being written, and their queue."""

    on_active: Annotated[
        OnActive,
        Meta(
            description="What a message does while an answer is being written, unless its request "
            "says so in `onActive`: `refuse` it with 409, `interrupt` the answer, or `queue` it."
        ),
    ] = "refuse"
    max_queue_bytes: Annotated[
        Bytes, Meta(description="Largest queue of a session; it has at most 32 messages.")
    ] = 1024 * 1024
    wait_timeout_s: Annotated[
        Seconds,
        Meta(
            description="How long a run waits for somebody who answers it, and a queue for an "
            "approval or a tool of the client, before its next message is answered without."
        ),
    ] = 1_800.0
    wait_stream_s: Annotated[
        Seconds,
        Meta(
            description="A response that waits for somebody, or for the run of a queued message, "
            "ends after this."
        ),
    ] = 600.0
    claim_timeout_s: Annotated[
        Seconds,
        Meta(
            description="A session that a person has claimed waits for another one if they are "
            "not heard of for so long."
        ),
    ] = 120.0
    resume_rate: Annotated[
        float,
        Meta(
            gt=0,
            le=10_000,
            description="Queued messages a second that a gateway opens for others that died.",
        ),
    ] = 10.0
