"""Contract between the parent and its processes: launch message, exit codes, common end.

A module of its own, so that the parent does not import the server.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from typing import Final

from msgspec import Struct

from midstream.settings.sections import Settings

EXIT_FAILED: Final = 1
EXIT_SETTINGS: Final = 2
EXIT_REDIS: Final = 3


class Launch(Struct, frozen=True, kw_only=True):
    """Launch message of a worker.

    Attributes:
        sockets: file descriptors of listening sockets.
        ready: file descriptor to write a byte to once it serves.
        simulator_url: where the simulated providers are; empty: the worker has its own.
        owns_redis: the parent has started the Redis, and nobody else's data is in it.
    """

    parent_pid: int
    sockets: list[int]
    ready: int
    settings: Settings
    simulator_url: str = ""
    owns_redis: bool = False


_PR_SET_PDEATHSIG: Final = 1


def end_with(parent_pid: int) -> None:
    """Make this process end with its parent, even one killed by SIGKILL.

    Its stdin must be a pipe from the parent, with no more input to come.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_end_at_eof, name="watch-parent", daemon=True).start()
    if os.getppid() != parent_pid:
        sys.exit(EXIT_FAILED)


def _end_at_eof() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGKILL)
