"""Errors of the protocol: ours, or the peer's.

ProtocolError                     abstract
  LocalProtocolError              we broke the protocol: a bug
  RemoteProtocolError             a client, an agent or a provider broke it
    MalformedFrameError           bytes that are not a frame, an event or a chunk
    InvalidPositionError          a token that is not a position
    OversizedError                more messages, parts or fields than a request may hold
    IllegalChunkError             an agent's chunk that is illegal in its place
"""

from __future__ import annotations


class ProtocolError(Exception):
    """Base of the protocol's errors; only its subclasses are raised."""


class LocalProtocolError(ProtocolError):
    """We were about to break the protocol: a bug on our side."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol. The text may be shown to the peer."""


class MalformedFrameError(RemoteProtocolError):
    """Bytes that are not a frame, an event or a chunk."""


class OversizedError(RemoteProtocolError):
    """More messages, parts or fields than one request may hold."""


class InvalidPositionError(RemoteProtocolError):
    """A token that is not a position."""


class IllegalChunkError(RemoteProtocolError):
    """A chunk that is illegal in its place."""
