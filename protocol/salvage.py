"""Rebuilds a run whose log holds something unreadable.

Lines that are not chunks, and chunks that are illegal in their place, are skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from midstream.protocol.assembler import Assembler
from midstream.protocol.codec import decode, decode_lines
from midstream.protocol.errors import MalformedFrameError, ProtocolError
from midstream.protocol.writer import ChunkWriter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from midstream.protocol.chunks import AnyChunk
    from midstream.protocol.messages import UIMessage


def readable_lines(payload: bytes) -> tuple[list[AnyChunk], bool]:
    """Read chunks, one a line; return the readable ones, and whether all were readable."""
    try:
        return decode_lines(payload), True
    except MalformedFrameError:
        pass
    chunks: list[AnyChunk] = []
    for line in payload.split(b"\n"):
        if line:
            try:
                chunks.append(decode(line))
            except MalformedFrameError:
                continue
    return chunks, False


def apply_fitting(assembler: Assembler, chunks: Iterable[AnyChunk]) -> bool:
    """Apply the chunks that fit to a message; return whether all did."""
    fits = True
    for chunk in chunks:
        try:
            assembler.apply(chunk)
        except (ProtocolError, ValueError, TypeError, LookupError):
            fits = False
    return fits


def salvaged(
    chunks: Iterable[AnyChunk], message_id: str, base: UIMessage | None
) -> tuple[ChunkWriter, Assembler, bool]:
    """Rebuild a run's writer and message from chunks; also return whether all chunks fitted."""
    writer, assembler = ChunkWriter(message_id, base), Assembler(message_id, base)
    fits = True
    for chunk in chunks:
        try:
            writer.write(chunk)
        except ProtocolError:
            fits = False
            continue
        fits &= apply_fitting(assembler, (chunk,))
    return writer, assembler, fits
