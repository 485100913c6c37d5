"""The gateway's snapshot of a session, once its run has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.processes import eventually

if TYPE_CHECKING:
    from tests.support.wire import Endpoint


async def look(at: Endpoint, session: str) -> Any:
    """Return the session's snapshot, once no run of it is open."""

    async def ended() -> bool:
        status, answer = await at.call("GET", f"/api/chat/{session}")
        return status == 200 and answer["runs"][-1]["state"] == "ended"

    await eventually(ended, "the run has ended")
    return (await at.call("GET", f"/api/chat/{session}"))[1]


def said(kept: Any) -> str:
    """Return the text of the last message."""
    parts = kept["messages"][-1]["parts"]
    return "".join(part["text"] for part in parts if part["type"] == "text")
