"""The template: a process that has imported everything, and forks the Python programs of tests.

`python -m tests.support.fork_server SOCKET` takes orders on a socket until its end. A fork equals
`python -m MODULE ARGUMENTS` except in two respects: modules that the template has imported are not
imported again, and its command line reads as the template's. `forked.py` is the other side.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
from typing import Final

import msgspec

import midstream.process.serve
from tests.support.forked import Order
from tests.support.forked_worker import fork_worker

PRELOADED: Final = (
    "anthropic.lib.aws",
    "anthropic.resources.beta",
    "anthropic.resources.messages",
    "midstream.app",
    "midstream.process.cli",
    "midstream.agents.http.agent",
    "midstream.client",
    "midstream.simulator.app",
    "midstream.process.worker",
    "openai.resources.chat",
    "openai.resources.responses",
    "uvicorn.lifespan.off",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
)

MAX_ORDER_BYTES: Final = 200_000

_PR_SET_PDEATHSIG: Final = 1


class Template:
    """Forks on demand, and reports how each fork ended.

    Args:
        control: the socket with the orders, each one message.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)

    def serve(self) -> Order | None:
        """Take orders until the socket ends.

        Returns:
            In each fork: its order. In the template: None.
        """
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is not self._control:
                    self._tell_end(key)
                elif not (message := self._receive()):
                    return None
                elif order := self._fork(*message):
                    return order

    def _receive(self) -> tuple[Order, int, int] | None:
        message, descriptors, _, _ = socket.recv_fds(self._control, MAX_ORDER_BYTES, 2)
        if not message:
            return None
        output, status = descriptors
        return msgspec.json.decode(message, type=Order), output, status

    def _fork(self, order: Order, output: int, status: int) -> Order | None:
        """Return the order in the child, None in the template."""
        template = os.getpid()
        pid = os.fork()
        if pid == 0:
            _end_with(template)
            os.setsid()
            os.dup2(output, 1)
            os.dup2(output, 2)
            self._selector.close()
            self._control.detach()
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            return order
        os.close(output)
        os.write(status, b"%d\n" % pid)
        self._selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, status))
        return None

    def _tell_end(self, key: selectors.SelectorKey) -> None:
        pid, status = key.data
        self._selector.unregister(key.fd)
        os.close(key.fd)
        _, code = os.waitpid(pid, 0)
        with contextlib.suppress(BrokenPipeError):  # The process that waited has gone.
            os.write(status, b"%d\n" % os.waitstatus_to_exitcode(code))
        os.close(status)


def _end_with(template: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != template:
        os._exit(1)


def preload() -> None:
    """Import the slow modules, and exempt them from garbage collection."""
    for module in PRELOADED:
        importlib.import_module(module)
    midstream.process.serve.start_worker = fork_worker
    assert threading.active_count() == 1, "a fork takes no other thread along"
    gc.collect()
    gc.freeze()


def run(order: Order) -> None:
    """Do in this process what `python -m` would do in a new one."""
    os.chdir(order.where)
    added = order.environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[0] = order.where
    sys.path[1:1] = [path for path in added if path]
    os.environ.clear()
    os.environ.update(order.environment)
    sys.argv = [order.module, *order.arguments]
    importlib.invalidate_caches()
    runpy.run_module(order.module, run_name="__main__", alter_sys=True)


def main() -> None:
    """Serve as the template; run the order in its forks."""
    preload()
    order = Template(socket.socket(fileno=int(sys.argv[1]))).serve()
    if order is not None:
        run(order)


if __name__ == "__main__":
    main()
