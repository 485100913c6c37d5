"""Errors of the protocol: ours, or the peer's.

ProtocolError                     abstract
  LocalProtocolError              we broke the order: a bug
  RemoteProtocolError             a client, an agent or a provider did
    MalformedFrameError           bytes that are not what the wire says
    InvalidPositionError          a token that is not a position
    OversizedError                more of something than one request may hold
    IllegalChunkError             a chunk of an agent that the order forbids
"""

from __future__ import annotations


class ProtocolError(Exception):
    """Base of the protocol's errors; raised only as one of its subclasses."""


class LocalProtocolError(ProtocolError):
    """We were about to break the protocol: a bug on our side."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol. The text is fit for it to read."""


class MalformedFrameError(RemoteProtocolError):
    """Bytes that are not a frame, an event or a chunk."""


class OversizedError(RemoteProtocolError):
    """More messages, parts or fields than one request may hold."""


class InvalidPositionError(RemoteProtocolError):
    """A token that is not a position."""


class IllegalChunkError(RemoteProtocolError):
    """A chunk that is not allowed where it stands."""
