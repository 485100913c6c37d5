"""Child processes that a test can stop, kill and read, and that never outlive it."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from tests.support.forked import CAN_FORK, ForkedProcess

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

REPOSITORY: Final = Path(__file__).resolve().parents[2]
START_LIMIT_S: Final = 60.0
"""Limit for a process to answer; imports take seconds while two cores are busy."""

MEASURES_COVERAGE: Final = "COVERAGE_PROCESS_CONFIG" in os.environ
"""Whether processes record coverage, which they write when they end by themselves."""

_PR_SET_PDEATHSIG: Final = 1
_libc: Final = ctypes.CDLL(None)

living: Final[list[ChildProcess]] = []
"""The running processes, so that a failed test can show their output."""


_PORTS: Final = range(12_000, 32_000)
"""Ports below those of outgoing connections: another test's client could take one of those
before its server has started."""

_WORKERS: Final = 8


def _own_ports() -> Iterator[int]:
    """Yield ports that no other process of this test run uses, each again only after all others.

    A port is free until its server has started. Two processes that choose from the same ports
    would sometimes choose the same one, and one of them would talk to the other's server.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    own = _PORTS[worker % _WORKERS :: _WORKERS]
    begin = random.randrange(len(own))  # noqa: S311 - no secret
    return itertools.cycle([*own[begin:], *own[:begin]])


_ports: Final = _own_ports()


def free_port() -> int:
    """Return a loopback port without a listener, which no other test is about to use."""
    while True:
        port = next(_ports)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def wait_until(condition: Callable[[], bool], what: str, limit_s: float = 30.0) -> None:
    """Return once `condition` holds.

    Raises:
        AssertionError: it did not within `limit_s`; names `what`.
    """
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what}"
        time.sleep(0.02)


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]], what: str, limit_s: float = 30.0
) -> None:
    """Return once `condition` holds, letting the event loop run meanwhile.

    Raises:
        AssertionError: it did not within `limit_s`; names `what`.
    """
    deadline = time.monotonic() + limit_s
    while True:
        holds = condition()
        if holds if isinstance(holds, bool) else await holds:
            return
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what}"
        await asyncio.sleep(0.02)


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _execute(
    command: Sequence[str], environment: Mapping[str, str], where: Path, output: IO[bytes]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603
        command,
        cwd=where,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_die_with_parent,
    )


def _fork(
    command: Sequence[str], environment: Mapping[str, str], where: Path, output: IO[bytes]
) -> ForkedProcess:
    python, option, module, *arguments = command
    assert (python, option) == (sys.executable, "-m"), "only Python's modules can be forked"
    return ForkedProcess(module, arguments, environment, where, output)


class ChildProcess:
    """One process in a session of its own, which ends with this one.

    Args:
        name: its name in messages.
        command: the program and its arguments.
        log: the file to which its output is appended.
        environment: added to this process's, without its REDIS_URL and API keys.
        where: its working directory.
        forked: `command` is `sys.executable -m MODULE ...`, and a template that has imported
            everything forks it. Only its command line then differs.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        where: Path = REPOSITORY,
        *,
        forked: bool = False,
    ) -> None:
        self.name = name
        self.log = log
        inherited = {
            key: value
            for key, value in os.environ.items()
            if key != "REDIS_URL" and not key.startswith("MIDSTREAM_") and "API_KEY" not in key
        }
        whole = {**inherited, "PYTHONUNBUFFERED": "1", **(environment or {})}
        start = _fork if forked and CAN_FORK else _execute
        with log.open("ab") as output:
            self._popen = start(command, whole, where, output)
        living.append(self)

    @property
    def pid(self) -> int:
        """The id of the process and of its group."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it runs, negative for a signal."""
        return self._popen.poll()

    def output(self) -> str:
        """The whole output of it and its children."""
        return self.log.read_text(errors="replace")

    def wait_ready(self, answers: Callable[[], bool], limit_s: float = START_LIMIT_S) -> None:
        """Wait until `answers()`; if the process ends instead, fail with its output."""

        def ready() -> bool:
            assert self.exit_code is None, f"{self.name} ended: {self.output()[-4000:]}"
            return answers()

        try:
            wait_until(ready, f"{self.name} answers", limit_s)
        except AssertionError as error:
            self.kill()
            raise AssertionError(f"{error}\n{self.output()[-4000:]}") from None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal only to the leader."""
        self._popen.send_signal(number)

    def freeze(self) -> None:
        """Stop it and its descendants (SIGSTOP)."""
        self._signal_family(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let frozen processes continue (SIGCONT)."""
        self._signal_family(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it and its descendants at once (SIGKILL), and reap it."""
        if self.exit_code is None:
            self._signal_family(signal.SIGKILL)
        self._popen.wait()
        if self in living:
            living.remove(self)

    def wait_exit(self, limit_s: float = 30.0) -> int:
        """Return the exit code of the leader once it has ended by itself."""
        code = self._popen.wait(limit_s)
        if self in living:
            living.remove(self)
        return code

    def end(self) -> None:
        """Ask it to end, then kill it and its descendants, which a script may leave."""
        if self.exit_code is None:
            family = descendants(self.pid)
            self.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(5)
            _signal_all(family, signal.SIGKILL)
        self.kill()

    def _signal_family(self, number: signal.Signals) -> None:
        _signal_all([self.pid, *descendants(self.pid)], number)


def _signal_all(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def resident_bytes(pid: int) -> int:
    """Return the resident set of one process (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def children(pid: int) -> list[int]:
    """Return the direct children of a process (Linux)."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in listed.split()]


def descendants(pid: int) -> list[int]:
    """Return the children of a process, their children, and so on (Linux)."""
    direct = children(pid)
    return [*direct, *(deeper for child in direct for deeper in descendants(child))]


def command_of(pid: int) -> str:
    """Return a process's command line (Linux); empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # the latter if it ends while it is read
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}
