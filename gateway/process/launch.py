"""What the parent tells its processes, and how they end: all that they share.

On its own, so that the parent need not import what it does not serve.
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
    """What a worker is told.

    Attributes:
        sockets: file descriptors of listening sockets.
        ready: file descriptor to write a byte to once it serves.
        simulator_url: where the simulated providers are; empty: the worker has its own.
    """

    parent_pid: int
    sockets: list[int]
    ready: int
    settings: Settings
    simulator_url: str = ""


_PR_SET_PDEATHSIG: Final = 1


def die_with(parent_pid: int) -> None:
    """See to it that this process ends when its parent does, even by SIGKILL.

    Its stdin is to be a pipe from the parent, which nobody writes to any more.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_end_with_stdin, name="watch-parent", daemon=True).start()
    if os.getppid() != parent_pid:
        sys.exit(EXIT_FAILED)


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGKILL)
