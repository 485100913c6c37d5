"""Asks a gateway's worker about its inside; `probe/sitecustomize.py` answers there."""

from __future__ import annotations

import socket
import tracemalloc
from pathlib import Path
from typing import Final

import msgspec

_PROBE: Final = Path(__file__).parent / "probe"


class Inside(msgspec.Struct, frozen=True):
    """What a worker says of itself.

    Attributes:
        tasks: name -> number of tasks that are not done.
        blocks: number of live small allocations of Python.
        traced: bytes that Python has allocated; None unless they are traced.
        pauses: collections of garbage since the last answer: generation, seconds.
        used, free: bytes of the C allocator that are in use, and that it keeps for later.
    """

    tasks: dict[str, int]
    blocks: int
    traced: int | None
    used: int
    free: int
    pauses: list[tuple[int, float]]


class Probe:
    """The outside end of a probe. Hand `environment` to the gateway before it starts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "probe"

    def environment(self, modules: Path) -> dict[str, str]:
        """Return the variables that put the probe into a gateway whose modules are there."""
        return {
            "PYTHONPATH": f"{modules}:{_PROBE}",
            "BENCH_PROBE": str(self._path),
        }

    def ask(self, question: str = "counts") -> Inside:
        """Return the worker's answer."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(120)
            connection.connect(str(self._path))
            connection.sendall(question.encode() + b"\n")
            return msgspec.json.decode(connection.makefile("rb").readline(), type=Inside)

    def snapshot(self, name: str) -> tracemalloc.Snapshot:
        """Return what has been allocated since `ask("trace")` and is not freed."""
        path = self._folder / name
        self.ask(f"snapshot {path}")
        return tracemalloc.Snapshot.load(str(path))
