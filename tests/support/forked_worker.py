"""Starts a gateway's worker as a fork of its parent, which has imported the worker's modules."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, NoReturn

import msgspec

from midstream.process import worker
from midstream.process.serve import start_worker
from tests.support.forked import SWITCHED_OFF

if TYPE_CHECKING:
    from collections.abc import Iterable

    from midstream.process.launch import Launch
    from midstream.process.serve import WorkerProcess


class ForkedWorker:
    """A worker in its parent's view, in place of `asyncio.subprocess.Process`.

    Args:
        pid: the pid of a child of this process.
        stdin: the descriptor for its instructions; kept open while it lives.
    """

    def __init__(self, pid: int, stdin: int) -> None:
        self._pid = pid
        self._stdin = stdin
        self._ended = False

    def send_signal(self, signal: int) -> None:
        """Send it a signal.

        Raises:
            ProcessLookupError: it has ended.
        """
        if self._ended:
            raise ProcessLookupError
        os.kill(self._pid, signal)

    async def wait(self) -> int:
        """Return its exit code once it has ended; negative for a signal."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        descriptor = os.pidfd_open(self._pid)
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        return self._reap()

    def _reap(self) -> int:
        _, code = os.waitpid(self._pid, 0)
        self._ended = True
        os.close(self._stdin)
        return os.waitstatus_to_exitcode(code)


async def fork_worker(launch: Launch) -> WorkerProcess:
    """Fork a worker; stands in for `midstream.process.serve.start_worker`."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        # Metrics learn at their import whether several processes keep them together.
        return await start_worker(launch)
    read, write = os.pipe()
    # Until it has dropped the parent's event loop, a signal to it would wake the parent.
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _leave_loop()
            _take_descriptors(read, (*launch.sockets, launch.ready))
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
            _run()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
    os.close(read)
    os.write(write, msgspec.json.encode(launch) + b"\n")
    return ForkedWorker(pid, write)


def _leave_loop() -> None:
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    asyncio._set_running_loop(None)


def _take_descriptors(stdin: int, inherited: Iterable[int]) -> None:
    """Keep only these descriptors and the output, as an executed program would.

    The numbers of the others stay taken: what the parent had open, such as a TLS connection that it
    was closing, is an object here, too, and closes its number when it is collected.
    """
    os.dup2(stdin, 0)
    nothing = os.open(os.devnull, os.O_RDWR)
    kept = {0, 1, 2, nothing, *inherited}
    for number in map(int, os.listdir("/proc/self/fd")):
        if number not in kept:
            os.dup2(nothing, number, inheritable=False)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for the process's life


def _run() -> NoReturn:
    """Work, and end the process here: the code that called this belongs to the parent."""
    code: object = 1
    try:
        for module in os.environ.get(SWITCHED_OFF, "").split():
            importlib.import_module(module).enabled = False  # type: ignore[attr-defined]
        worker.main()
        code = 0
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)
