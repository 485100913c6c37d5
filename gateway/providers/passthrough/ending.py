"""The end of a provider's stream that was stopped on the way, in the form that its SDK expects.

An `Ending` reads the events that have gone to the caller, and writes the ones that close
what they left open. Their last one says `midstream_stopped`, which SDKs hand on as a field
that they do not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

STOPPED_FIELD: Final = "midstream_stopped"
STOPPED_COMMENT: Final = b": midstream-stopped\n\n"


class StreamEnding(Protocol):
    """Follows one stream."""

    def receive(self, event: bytes) -> None:
        """Take one event's JSON. Raises msgspec.MsgspecError for what cannot be read."""
        ...

    def close(self) -> bytes:
        """Return the events that end the stream; empty if it has its end."""
        ...


def named_event(kind: str, fields: Mapping[str, object]) -> bytes:
    """Return an event whose name is its type, framed."""
    data = msgspec.json.encode({"type": kind, **fields})
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)
