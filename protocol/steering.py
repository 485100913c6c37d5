"""A person's message, and the chunk by which a running answer takes it up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midstream.protocol.chunks import SteeringMessageChunk
from midstream.protocol.messages import FilePart, TextPart, UIMessage
from midstream.protocol.parts import json_of

if TYPE_CHECKING:
    from msgspec import Raw


def steering_chunk(message: UIMessage) -> SteeringMessageChunk:
    """Return the `steering-message` of a message: its texts and files, as the AI SDK has them."""
    parts: list[Raw] = []
    for part in message.readable_parts():
        if isinstance(part, TextPart):
            kept = TextPart(text=part.text, provider_metadata=part.provider_metadata)
            parts.append(json_of(kept))
        elif isinstance(part, FilePart):
            parts.append(json_of(part))
    return SteeringMessageChunk(id=message.id, parts=json_of(parts))


def steering_message(chunk: SteeringMessageChunk) -> UIMessage:
    """Return the message of a `steering-message`."""
    fields = {"id": chunk.id, "role": "user", "parts": chunk.parts}
    return UIMessage.parse(json_of(fields))
