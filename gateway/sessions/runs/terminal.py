"""A run's terminal: put together, and written until its outcome is known."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from msgspec import Raw

from midstream.aio.backoff import Backoff
from midstream.errors import StoreUnavailableError
from midstream.protocol.codec import encode_lines
from midstream.protocol.vocabulary import level_of_chunks
from midstream.store.records import ChunksRecord, CloseRun, NewMessage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.protocol.chunks import AnyChunk
    from midstream.store.records import Appended, RunInfo, RunKey, RunOutcome
    from midstream.store.store import SessionStore


def close_request(
    key: RunKey,
    run: RunInfo,
    chunks: Sequence[AnyChunk],
    *,
    first: int,
    outcome: RunOutcome,
    message: bytes | None,
    reconnect_window_s: float,
) -> CloseRun:
    """Put a run's terminal together.

    Args:
        chunks: the closing ones, `finish` at their end.
        first: the sequence of the first of them.
        message: as it is after them; None leaves what is stored of it as it is.
    """
    return CloseRun(
        key=key,
        chunks=ChunksRecord(
            run_id=key.run_id,
            first=first,
            count=len(chunks),
            level=level_of_chunks(chunks),
            payload=encode_lines(chunks),
        ),
        outcome=outcome,
        message=None
        if message is None
        else NewMessage(
            id=run.message_id,
            parent_id=run.user_message_id,
            content_hash="",
            message=Raw(message),
        ),
        trim_before_ms=int((time.time() - reconnect_window_s) * 1000),
    )


async def commit_close(
    store: SessionStore, request: CloseRun, *, limit_s: float
) -> Appended | None:
    """Close until the outcome is known; None if Redis stayed away for `limit_s`."""
    try:
        async with asyncio.timeout(limit_s):
            backoff = Backoff()
            while True:
                try:
                    return await store.close_run(request)
                except StoreUnavailableError:
                    await backoff.wait()
    except TimeoutError:
        return None
