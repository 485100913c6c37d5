"""Answers questions about a gateway's worker from inside: its tasks, its heap, its allocations.

Python imports this module in every process that has its folder on PYTHONPATH. In a worker it
starts a thread that serves the UNIX socket named by BENCH_PROBE: one line asks, one line of
JSON answers (`tests/bench/probes.py` is the other end). The gateway's own code knows nothing of it.
"""

from __future__ import annotations

import asyncio
import collections
import ctypes
import gc
import json
import os
import re
import socketserver
import sys
import threading
import time
import tracemalloc
from typing import Any, Final

WORKER: Final = "midstream.process.worker"

FRAMES: Final = 40
"""Frames to keep of each allocation: enough to reach the gateway's own code from a library's."""

LOOPS: Final[list[asyncio.AbstractEventLoop]] = []

PAUSES: Final[list[tuple[int, float]]] = []
"""Collections of garbage since the last question: generation, seconds."""


def note_pause(phase: str, info: dict[str, int], began: list[float] = [0.0]) -> None:  # noqa: B006
    """Note how long a collection of garbage takes: nothing else runs meanwhile."""
    if phase == "start":
        began[0] = time.perf_counter()
    else:
        PAUSES.append((info["generation"], time.perf_counter() - began[0]))


class MallInfo(ctypes.Structure):
    """The figures of the C library's allocator, by `mallinfo2`."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "free_pieces", "fast_pieces", "mapped_pieces", "mapped"),
            *("unused", "fast_free", "used", "free", "trimmable"),
        )
    ]


def counts() -> dict[str, Any]:
    """Return the tasks by name, and the sizes of the heaps in bytes.

    `pauses` are the collections of garbage since the last answer: nothing else runs meanwhile.
    `blocks` is the number of Python's live small allocations, which costs nothing to ask for;
    `traced` is null unless allocations are traced.
    """
    tasks = [task for loop in LOOPS for task in asyncio.all_tasks(loop)]
    names = collections.Counter(re.split(r"[ -](?=\w*\d)", task.get_name())[0] for task in tasks)
    heap = allocator()
    pauses = PAUSES[:]
    del PAUSES[: len(pauses)]
    return {
        "pauses": pauses,
        "tasks": dict(names),
        "blocks": sys.getallocatedblocks(),
        "traced": tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else None,
        "used": heap.used + heap.mapped,
        "free": heap.free,
    }


def allocator() -> MallInfo:
    """Return the C allocator's figures; zeros where it has no `mallinfo2`."""
    ask = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if ask is None:
        return MallInfo()
    ask.restype = MallInfo
    found = ask()
    assert isinstance(found, MallInfo)
    return found


def snapshot(path: str) -> dict[str, Any]:
    """Write what is allocated to a file, after a collection of garbage."""
    gc.collect()
    tracemalloc.take_snapshot().dump(path)
    return counts()


class Answering(socketserver.StreamRequestHandler):
    """One connection: `counts`, `trace` (from now on), or `snapshot PATH`."""

    def handle(self) -> None:
        """Answer line by line until the other end closes."""
        for line in self.rfile:
            verb, _, argument = line.decode().strip().partition(" ")
            if verb == "trace":
                tracemalloc.start(FRAMES)
            answer = snapshot(argument) if verb == "snapshot" else counts()
            self.wfile.write(json.dumps(answer).encode() + b"\n")


def start(path: str) -> None:
    """Serve the socket in a thread, and note the event loops that are made."""
    import uvloop

    make = uvloop.new_event_loop

    def noted() -> uvloop.Loop:
        loop = make()
        LOOPS.append(loop)
        return loop

    uvloop.new_event_loop = noted
    gc.callbacks.append(note_pause)
    server = socketserver.ThreadingUnixStreamServer(path, Answering)
    threading.Thread(target=server.serve_forever, name="probe", daemon=True).start()


if WORKER in sys.orig_argv and "BENCH_PROBE" in os.environ:
    start(os.environ["BENCH_PROBE"])
