"""Encodes and decodes chunks as JSON: one chunk a line, without a line break in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from midstream.protocol.chunks import KNOWN_CHUNKS, AnyChunk, Json, OpaqueChunk
from midstream.protocol.errors import MalformedFrameError

if TYPE_CHECKING:
    from collections.abc import Sequence

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Errors that msgspec raises for bytes from outside."""

_TYPE_PREFIX: Final = b'{"type":"'
_TYPE_AT: Final = len(_TYPE_PREFIX)

_MANY: Final = 8
"""Chunks in a row from which a look at whether they are alike pays."""


class _Head(Struct):
    type: str


class _DataChunk(Struct, kw_only=True, omit_defaults=True):
    type: str
    id: str | UnsetType = UNSET
    data: Json | UnsetType = UNSET
    transient: bool = False


_encoder = msgspec.json.Encoder()
_head_decoder = msgspec.json.Decoder(_Head)
_data_decoder = msgspec.json.Decoder(_DataChunk)
_decoders: Final = {tag: msgspec.json.Decoder(kind) for tag, kind in KNOWN_CHUNKS.items()}
_decoders_by_bytes: Final = {tag.encode(): decoder for tag, decoder in _decoders.items()}


def says_nothing(data: bytes) -> bool:
    """Whether an event's data is empty or null: some servers send such events as heartbeats."""
    return data.strip() in (b"", b"null")


def one_line(json: bytes) -> bytes:
    """Return JSON without line breaks; the same object if it has none.

    JSON strings hold no raw line breaks, so every line break stands between tokens.
    """
    if b"\n" in json or b"\r" in json:
        return msgspec.json.format(json, indent=-1)
    return json


def encode(chunk: AnyChunk) -> bytes:
    """Return a chunk's JSON: one line, no newline at its end, `type` first."""
    if isinstance(chunk, OpaqueChunk):
        return chunk.raw
    return one_line(_encoder.encode(chunk))


def encode_lines(chunks: Sequence[AnyChunk]) -> bytes:
    """Return the chunks' JSON, one a line, each line ended by a newline."""
    for chunk in chunks:
        if isinstance(chunk, OpaqueChunk):
            break
    else:
        payload = _encoder.encode_lines(chunks)
        if payload.count(b"\n") == len(chunks) and b"\r" not in payload:
            return payload
    return b"".join([encode(chunk) + b"\n" for chunk in chunks])


def decode(line: bytes) -> AnyChunk:
    """Read one chunk's JSON, with or without line breaks between its tokens.

    A `data-*` chunk, or one of an unknown type, becomes an `OpaqueChunk` that holds all of
    it. Unknown fields of a known type are dropped: no client reads them, and older ones
    refuse them.

    Raises:
        MalformedFrameError: the line is not UTF-8, not a JSON object with a `type`, or has
            not the shape of its type.
    """
    try:
        if not line.isascii():
            line.decode()
        if line.startswith(_TYPE_PREFIX):
            decoder = _decoders_by_bytes.get(line[_TYPE_AT : line.find(b'"', _TYPE_AT)])
            if decoder is not None:
                return decoder.decode(line)
        kind = _head_decoder.decode(line).type
        decoder = _decoders.get(kind)
        if decoder is not None:
            return decoder.decode(line)
        return _decode_opaque(kind, one_line(line.strip()))
    except UNREADABLE as error:
        raise MalformedFrameError(f"unable to read a chunk; {error}") from None


def _decode_opaque(kind: str, line: bytes) -> OpaqueChunk:
    if not kind.startswith("data-"):
        return OpaqueChunk(type=kind, raw=line)
    chunk = _data_decoder.decode(line)
    return OpaqueChunk(
        type=kind,
        raw=line,
        id=None if chunk.id is UNSET else chunk.id,
        transient=chunk.transient,
    )


def decode_lines(payload: bytes) -> list[AnyChunk]:
    """Read chunks, one a line; empty lines are skipped.

    Raises:
        MalformedFrameError: one of the lines is not a chunk.
    """
    if (alike := _decode_alike(payload)) is not None:
        return alike
    return [decode(line) for line in payload.split(b"\n") if line]


def _decode_alike(payload: bytes) -> list[AnyChunk] | None:
    """Read chunks of one known type at once, as nearly all of an answer are; None: they differ.

    A newline cannot be within a string of JSON, so each one that a prefix follows begins a chunk.
    """
    lines = payload.count(b"\n")
    if lines < _MANY or not payload.startswith(_TYPE_PREFIX) or not payload.endswith(b"\n"):
        return None
    prefix = payload[: payload.find(b'"', _TYPE_AT) + 1]
    decoder = _decoders_by_bytes.get(prefix[_TYPE_AT:-1])
    if decoder is None or payload.count(b"\n" + prefix) != lines - 1:
        return None
    try:
        if not payload.isascii():
            payload.decode()
        return [*decoder.decode_lines(payload)]
    except UNREADABLE:
        return None  # the slow way says which line it is


def data_chunk(
    name: str, data: Json, *, id: str | None = None, transient: bool = False
) -> OpaqueChunk:
    """Make a `data-NAME` chunk.

    Args:
        name: the part of the chunk's type after `data-`.
        data: any JSON.
        id: a later chunk with the same name and id replaces this one's data.
        transient: only for present readers; never part of the message.
    """
    kind = f"data-{name}"
    chunk = _DataChunk(type=kind, id=UNSET if id is None else id, data=data, transient=transient)
    return OpaqueChunk(type=kind, raw=one_line(_encoder.encode(chunk)), id=id, transient=transient)
