"""Authors: who said a message, or answered a call.

The server names them, from a token or an agent key; what a client writes in their place is
dropped. A UIMessage holds its author in `metadata.midstream.by`, and in
`metadata.midstream.answers`, by tool call, whoever allowed or denied it, or gave its result.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from midstream.protocol.chunks import StartChunk
from midstream.protocol.codec import UNREADABLE, one_line
from midstream.protocol.messages import TextPart, ToolPart, UIMessage, readable_parts
from midstream.protocol.parts import fields_of, json_of, merge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.protocol.messages import Part
    from midstream.protocol.parts import Fields

MAX_NAME_LENGTH: Final = 64

_NAMESPACE: Final = "midstream"
_BIDI: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_INVISIBLE: Final = frozenset("\u200b\u2060\ufeff")
_UNPRINTED: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})

AuthorKind: TypeAlias = Literal["person", "agent", "system"]


class Author(Struct, frozen=True, omit_defaults=True):
    """Who did something in a session.

    Attributes:
        id: the user of a person, or the name of an agent.
        role: of the token; `agent` for an agent of the gateway's.
        name: as people read it; empty if the token has none.
    """

    id: str
    role: str
    kind: AuthorKind
    name: str = ""


class _Ours(Struct, frozen=True):
    by: Author | UnsetType = UNSET
    answers: dict[str, Raw] = {}


_ours: Final = msgspec.json.Decoder(_Ours)


def author_of_agent(name: str) -> Author:
    """Return an agent of the gateway's as an author."""
    return Author(name, "agent", "agent", name)


def known(author: Author) -> Author | None:
    """Return an author; None for the anonymous caller, of whom there is nothing to say."""
    return author if author.id or author.name else None


def encode_author(author: Author) -> bytes:
    """Encode an author as the log and clients get it."""
    return msgspec.json.encode(author)


def clean_name(text: str) -> str:
    """Return a name as it is shown: on one line, short, without controls and bidi marks."""
    spaced = "".join(" " if each.isspace() else each for each in text)
    kept = (
        each
        for each in spaced
        if each not in _BIDI
        and each not in _INVISIBLE
        and unicodedata.category(each) not in _UNPRINTED
    )
    return " ".join("".join(kept).split())[:MAX_NAME_LENGTH].rstrip()


def author_in(message: UIMessage) -> Author | None:
    """Return the author that a stored message names; None for one of an older version."""
    by = _ours_of(message).by
    return None if by is UNSET else by


def with_author(message: UIMessage, author: Author | None) -> UIMessage:
    """Return a client's message with its author, in the place of what the client says of us.

    Args:
        author: None: nobody is known. Metadata that is no object stays as it is.
    """
    fields = _metadata_of(message)
    if fields is None or (author is None and _NAMESPACE not in fields):
        return message
    fields.pop(_NAMESPACE, None)
    if author is not None:
        fields[_NAMESPACE] = json_of({"by": author})
    return _with_metadata(message, fields)


def with_answers(before: UIMessage, after: UIMessage, author: Author | None) -> UIMessage:
    """Return an answered message with who answered its calls: the parts that have changed."""
    fields = _metadata_of(after)
    answered = [
        call
        for old, new in zip(before.parts, after.parts, strict=False)
        if bytes(old) != bytes(new) and (call := _call_id(new)) is not None
    ]
    if author is None or not answered or fields is None:
        return after
    answers = _ours_of(after).answers | dict.fromkeys(answered, json_of(author))
    ours = json_of({_NAMESPACE: {"answers": answers}})
    merged = merge(json_of(fields), ours)
    return after if merged is UNSET else _with_metadata(after, fields_of(merged))


def start_of(message_id: str, agent: str) -> StartChunk:
    """Return the first chunk of an agent's message, which names the agent."""
    if not agent:
        return StartChunk(message_id=message_id)
    return start_by(message_id, author_of_agent(agent))


def start_by(message_id: str, author: Author) -> StartChunk:
    """Return the first chunk of a message, which names its author."""
    metadata = json_of({_NAMESPACE: {"by": author}})
    return StartChunk(message_id=message_id, message_metadata=metadata)


def with_speakers(messages: Sequence[UIMessage]) -> Sequence[UIMessage]:
    """Return messages whose texts begin with their speaker: `NAME: …`, of people with a name."""
    return [_spoken(each) if each.role == "user" else each for each in messages]


def _spoken(message: UIMessage) -> UIMessage:
    author = author_in(message)
    name = "" if author is None else clean_name(author.name)
    if not name:
        return message
    parts = list(message.parts)
    for index, part in enumerate(map(_read, parts)):
        if isinstance(part, TextPart):
            text = json_of(f"{name}: {part.text}")
            parts[index] = json_of(fields_of(parts[index]) | {"text": text})
            raw = fields_of(message.raw) | {"parts": json_of(parts)}
            return UIMessage.parse(one_line(msgspec.json.encode(raw)))
    return message


def _ours_of(message: UIMessage) -> _Ours:
    fields = _metadata_of(message) or {}
    try:
        return _ours.decode(fields.get(_NAMESPACE, Raw(b"{}")))
    except UNREADABLE:
        return _Ours()


def _metadata_of(message: UIMessage) -> Fields | None:
    """Return the fields of a message's metadata; None if it is something else than an object."""
    if message.metadata is UNSET or bytes(message.metadata) == b"null":
        return {}
    try:
        return fields_of(message.metadata)
    except UNREADABLE:
        return None


def _with_metadata(message: UIMessage, fields: Fields) -> UIMessage:
    whole = fields_of(message.raw)
    whole.pop("metadata", None)
    if fields:
        whole["metadata"] = json_of(fields)
    return UIMessage.parse(one_line(msgspec.json.encode(whole)))


def _call_id(part: Raw) -> str | None:
    read = _read(part)
    return read.tool_call_id if isinstance(read, ToolPart) else None


def _read(part: Raw) -> Part | None:
    return next(readable_parts([part]), None)
