"""Starts `python -m MODULE` quickly, as a fork of a process that has imported everything.

The first start also starts the template (`fork_server.py`), which lives as long as this process.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CAN_FORK: Final = sys.platform == "linux"
"""Only Linux tells a process that its parent has died, and reports an end by a descriptor."""

START_LIMIT_S: Final = 60.0
"""Limit for the template to fork; at first its imports take seconds on busy cores."""

SWITCHED_OFF: Final = "TESTS_SWITCHED_OFF"
"""Variable with the modules that a worker under test does without: their `enabled` is cleared."""

_PR_SET_PDEATHSIG: Final = 1
_libc: Final = ctypes.CDLL(None)
_ordering: Final = threading.Lock()


class Order(msgspec.Struct, frozen=True):
    """An order to fork. Two descriptors come with it: one for the fork's output, and one for
    its pid and exit code.
    """

    module: str
    arguments: list[str]
    environment: dict[str, str]
    where: str


class ForkedProcess:
    """One process, with the interface of `subprocess.Popen`. Its parent is the template.

    Args:
        module: the module for `python -m`.
        arguments: the module's arguments.
        environment: the complete environment.
        where: the working directory.
        output: the file for its output.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        where: Path,
        output: IO[bytes],
    ) -> None:
        order = Order(module, list(arguments), dict(environment), str(where))
        self._status, write = os.pipe()
        self._code: int | None = None
        self._said = b""
        try:
            with _ordering:
                socket.send_fds(
                    template().orders, [msgspec.json.encode(order)], [output.fileno(), write]
                )
        finally:
            os.close(write)
        pid = self._next_number(START_LIMIT_S)
        assert pid is not None, "the template has ended; what it said is above"
        self.pid = pid

    def poll(self) -> int | None:
        """Return its exit code, negative for a signal; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit code once it has ended.

        Raises:
            subprocess.TimeoutExpired: it has not ended in time.
        """
        if self._code is None:
            code = self._next_number(timeout)
            # Without the template the code is unknown; its forks die with it.
            self._code = -signal.SIGKILL if code is None else code
            os.close(self._status)
        return self._code

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it is known to have ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _next_number(self, limit_s: float | None) -> int | None:
        """Return the next line from the template about the fork; None at the end."""
        poll = select.poll()
        poll.register(self._status, select.POLLIN)
        while b"\n" not in self._said:
            if not poll.poll(None if limit_s is None else limit_s * 1000):
                raise subprocess.TimeoutExpired("fork", limit_s or 0)
            if not (said := os.read(self._status, 64)):
                return None
            self._said += said
        line, _, self._said = self._said.partition(b"\n")
        return int(line)


class Template:
    """The process that forks, started when constructed.

    Attributes:
        orders: the socket for orders.
    """

    def __init__(self) -> None:
        self.orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "tests.support.fork_server", str(theirs.fileno())],
                cwd=Path(__file__).resolve().parents[2],
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),
            )

    def end(self) -> None:
        """Let it end, and wait: it writes its coverage."""
        self.orders.close()
        self._process.wait()


@cache
def template() -> Template:
    """Return this process's template; start it the first time."""
    return Template()


def end_template() -> None:
    """End this process's template, if there is one."""
    if template.cache_info().currsize:
        template().end()
        template.cache_clear()
