"""What a model is told of people who have answered in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from midstream.authors import author_in
from midstream.protocol.messages import UIMessage
from midstream.protocol.parts import fields_of, json_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.store.handoff.calls import HandoffNote


class NoteForModel(Struct, frozen=True):
    """A note. `by`: its writer's name; empty: the gateway."""

    text: str
    by: str = ""


_note: Final = msgspec.json.Decoder(NoteForModel)


def with_notes(history: Sequence[UIMessage], notes: Sequence[HandoffNote]) -> tuple[UIMessage, ...]:
    """Return a history that says which answers are a person's, and what was noted.

    A note stands behind the message that was the last when it was written; one of a message that is
    not in the history (another branch, or deleted) is left out.
    """
    if not notes and not any(b'"person"' in bytes(m.raw) for m in history if m.role != "user"):
        return tuple(history)
    told: list[UIMessage] = []
    for message in history:
        told.append(_named(message))
        told += [_as_message(note) for note in notes if note.after == message.id]
    return tuple(told)


def _as_message(note: HandoffNote) -> UIMessage:
    content = _note.decode(note.content)
    writer = f" from {content.by}" if content.by else ""
    text = f"[Note for the assistant{writer}; the user does not see it: {content.text}]"
    return _text_message(f"note-{note.after}", "user", text)


def _named(message: UIMessage) -> UIMessage:
    """Put the person's name before an answer that a person has written."""
    by = author_in(message) if message.role == "assistant" else None
    if by is None or by.kind != "person":
        return message
    fields = fields_of(message.raw)
    named = {"type": "text", "text": f"[{by.name}, a person, answered in the assistant's place:]"}
    fields["parts"] = json_of([json_of(named), *message.parts])
    return UIMessage.parse(bytes(json_of(fields)))


def _text_message(id_: str, role: str, text: str) -> UIMessage:
    parts = [{"type": "text", "text": text}]
    return UIMessage.parse(msgspec.json.encode({"id": id_, "role": role, "parts": parts}))
