"""Positions in a session's log.

A token looks like `3f9c1a2b:1763855123456-0`. The epoch is random, and new whenever a log
begins again. Without it, a reader that has seen [1, 2, 3] of a lost log would continue a new
log [1, 2, 3, 4] after offset 3: behind the wrong record.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from midstream.protocol.errors import InvalidPositionError

_TOKEN: Final = re.compile(r"([A-Za-z0-9]{1,32}):(\d{1,20}-\d{1,20})")


class Position(Struct, frozen=True, gc=False):
    """A place in a log: after the record at `offset`.

    Attributes:
        epoch: the log's incarnation.
        offset: a Redis stream id, `milliseconds-sequence`; `0-0` is before the first.
    """

    epoch: str
    offset: str

    @classmethod
    def parse(cls, token: str) -> Position:
        """Read a token.

        Raises:
            InvalidPositionError: the token has not the form `epoch:offset`.
        """
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise InvalidPositionError(
                "unable to read the position; it must be one that the gateway sent (epoch:offset)"
            )
        return cls(match[1], match[2])

    def __str__(self) -> str:
        return f"{self.epoch}:{self.offset}"
