"""Journal of the requests to the simulator and their ends: for tests to read."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Literal

from msgspec import Raw, Struct

Ended = Literal["completed", "disconnected", "cut"]
Observer = Callable[["RequestRecord"], None]

# A body beyond this is remembered by its size alone.
_MAX_BODY_BYTES = 256 * 1024


class RequestRecord(Struct, kw_only=True):
    """One request; `path` with its query, if it has one.

    Times are seconds since 1970; `ended` is None while it is under way.
    `body` is the JSON as it was received, None if it was none or too large.
    """

    id: str
    provider: str
    path: str
    model: str = ""
    started_at: float
    ended_at: float | None = None
    ended: Ended | None = None
    status: int | None = None
    events_sent: int = 0
    body_bytes: int = 0
    body: Raw | None = None


class Journal:
    """The latest requests, oldest first.

    Args:
        limit: how many are remembered.
        observer: called with a record when it begins and when it ends; must not block.
    """

    def __init__(self, limit: int = 200, observer: Observer | None = None) -> None:
        self._records: deque[RequestRecord] = deque(maxlen=limit)
        self._observer = observer
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def records(self) -> list[RequestRecord]:
        """The records, oldest first."""
        return list(self._records)

    def open(self, record: RequestRecord) -> None:
        """Add a request that has begun."""
        if record.body_bytes > _MAX_BODY_BYTES:
            record.body = None
        self._records.append(record)
        self._tell(record)

    def close(self, record: RequestRecord, ended: Ended, at: float) -> None:
        """Note how a request ended; the first ending counts."""
        if record.ended is None:
            record.ended, record.ended_at = ended, at
            self._tell(record)

    def clear(self) -> None:
        """Forget all records."""
        self._records.clear()

    async def wait_for(self, matches: Callable[[RequestRecord], bool]) -> RequestRecord:
        """Return the first record that matches, as soon as there is one."""
        while True:
            for record in self._records:
                if matches(record):
                    return record
            changed = asyncio.get_running_loop().create_future()
            self._waiting.append(changed)
            await changed

    def _tell(self, record: RequestRecord) -> None:
        if self._observer is not None:
            self._observer(record)
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
