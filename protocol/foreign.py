"""Messages for agents of somebody's own: without what only the newest AI SDK can read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw, Struct

from midstream.protocol.chunks import SteeringMessageChunk
from midstream.protocol.codec import UNREADABLE
from midstream.protocol.parts import fields_of, json_of

if TYPE_CHECKING:
    from midstream.protocol.messages import UIMessage

UNREAD_KINDS: Final = frozenset({"anthropic.message_start", "openai.interrupted"})
"""Kinds of `custom` parts that no other agent's model reads: usage, and our mark of a cut response.

Source: the prompts of @ai-sdk/anthropic 4.0.105, which reads `anthropic.fallback` alone, and of
@ai-sdk/openai, which reads `openai.compaction` alone.
"""


class _Custom(Struct, tag="custom"):
    kind: str


_decoder: Final[msgspec.json.Decoder[SteeringMessageChunk | _Custom]] = msgspec.json.Decoder(
    SteeringMessageChunk | _Custom
)


def foreign_form(message: UIMessage) -> list[Raw]:
    """Return a message's JSON for another agent; several messages, if a person spoke in between.

    In the log, what a person said to a running answer is a part of the answer. Here it stands
    between what was said before and after it. The last piece has the id and the metadata of the
    answer. `custom` parts that no model reads are left out.
    """
    raw = bytes(message.raw)
    if b'"steering-message"' not in raw and b'"custom"' not in raw:
        return [message.raw]
    told: list[Raw] = []
    said: list[Raw] = []
    for index, part in enumerate(message.parts):
        special = _special(part)
        if isinstance(special, SteeringMessageChunk):
            if said:
                before = {"id": f"{message.id}:{index}", "role": message.role, "parts": said}
                told.append(json_of(before))
            told.append(json_of({"id": special.id, "role": "user", "parts": special.parts}))
            said = []
        elif special is None or special.kind not in UNREAD_KINDS:
            said.append(part)
    if said or not told:
        told.append(json_of({**fields_of(message.raw), "parts": said}))
    return told


def _special(part: Raw) -> SteeringMessageChunk | _Custom | None:
    try:
        return _decoder.decode(part)
    except UNREADABLE:
        return None
