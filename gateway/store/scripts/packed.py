"""Appends as they go over the wire: what is the same for all batches of a run is packed once."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from hiredis import pack_command

from midstream.store.keys import CACHED_SESSIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from midstream.ids import SessionId
    from midstream.store.calls import AppendBatch, RunKey
    from midstream.store.keys import SessionNames
    from midstream.store.scripts.catalog import Scripts
    from midstream.store.scripts.script import Command

OF_A_BATCH: Final = ("first", "count", "level", "payload")
"""The script's last arguments. Those before them are a run's."""


class AppendCommands:
    """The commands that append batches, packed and not."""

    def __init__(self, scripts: Scripts, names: Callable[[SessionId], SessionNames]) -> None:
        self._script = scripts.append
        self._names = names
        if self._script.arguments[-len(OF_A_BATCH) :] != OF_A_BATCH:
            raise ValueError(f"append takes {self._script.arguments}: a batch's are not its last")
        self._of_run = lru_cache(maxsize=CACHED_SESSIONS)(self._pack_of_run)

    def command(self, batch: AppendBatch) -> Command:
        """Return the command that appends a batch."""
        key, chunks = batch.key, batch.chunks
        return self._script.call(
            self._names(key.session_id),
            run=key.run_id,
            fence=key.fence,
            first=chunks.first,
            count=chunks.count,
            level=chunks.level,
            payload=chunks.payload,
        )

    def packed(self, batch: AppendBatch) -> bytes:
        """Return the same in Redis's protocol, in a third of the time."""
        chunks = batch.chunks
        payload = chunks.payload
        first, count, level = b"%d" % chunks.first, b"%d" % chunks.count, b"%d" % chunks.level
        return b"%b$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
            *(self._of_run(batch.key), len(first), first, len(count), count, len(level), level),
            *(len(payload), payload),
        )

    def _pack_of_run(self, key: RunKey) -> bytes:
        names, run, fence = self._names(key.session_id), key.run_id, key.fence
        command = self._script.call(
            names, run=run, fence=fence, first=0, count=0, level=0, payload=b""
        )
        packed = pack_command(command[: -len(OF_A_BATCH)])  # type: ignore[arg-type]
        return b"*%d\r\n%b" % (len(command), packed.partition(b"\r\n")[2])
