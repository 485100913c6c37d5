"""Proxied runs between two calls: the mark of a run that waits for its next, for any process.

The process that holds such a run ends each of its calls that another one may follow with a
chunk of its own. As long as that is the run's newest, no call is under way.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from midstream.store.records import RunState

if TYPE_CHECKING:
    from midstream.sessions.log.run_view import RunView

CALL_END: Final = b'{"type":"message-metadata"'
"""Beginning of the chunk that ends a call and not its run."""


async def is_at_rest(view: RunView) -> bool:
    """Whether the run's newest chunk is one that ends a call.

    The caller has the last byte of a call a moment before Redis has its last chunk.
    """
    if view.next == 0:
        return False
    if view.base < view.next:
        payload = view.after(view.next - 1)[1].payload
    else:
        payload = b""
        async with aclosing(view.read_back(view.next - 1, view.opened)) as batches:
            async for _, batch in batches:
                payload = batch.payload
    return payload.rstrip(b"\n").rpartition(b"\n")[2].startswith(CALL_END)


async def is_idle(view: RunView) -> bool:
    """Whether a run is a proxied one that waits for its next call."""
    info = view.info
    return info.proxied and info.state is RunState.OPEN and await is_at_rest(view)
