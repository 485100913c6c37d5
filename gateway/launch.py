"""What the parent tells a worker, and how both of them end: all that they share.

On its own, so that the parent need not import what it does not serve.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from gateway.settings import Settings

EXIT_FAILED: Final = 1
EXIT_SETTINGS: Final = 2
EXIT_REDIS: Final = 3


class Launch(Struct, frozen=True, kw_only=True):
    """What a worker is told.

    Attributes:
        sockets: file descriptors of listening sockets.
        ready: file descriptor to write a byte to once it serves.
    """

    parent_pid: int
    sockets: list[int]
    ready: int
    settings: Settings
