"""Runs that workers push, and messages for them, over two versions of the gateway."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from tests.support.processes import eventually
from tests.support.sessions import user_message

if TYPE_CHECKING:
    from tests.support.sessions import Session
    from tests.support.versions import TwoVersions
    from tests.support.wire import Endpoint

SHORT = "No. [[tokens=3]]"


async def pushed_over_both(versions: TwoVersions) -> None:
    """Claim, steer, renew, append and end at either: each message is in one answer."""
    await asyncio.gather(
        _written_by_both(versions, versions.session()[0]),
        _claimed_at_the_earlier(versions, versions.session()[0]),
        _taken_over_at_the_earlier(versions, versions.session()[0]),
    )


async def _claim(at: Endpoint, session: Session) -> tuple[str, int]:
    """Claim the job's run, as a worker that reads; return its path, and the fence."""
    asked = {"id": session.id, "key": "job", "text": "Go.", "steering": True, "agent": "worker"}
    status, claim = await at.call("POST", "/api/agent/runs", asked)
    assert status == 200, claim
    return f"/api/agent/runs/{session.id}/{claim['runId']}", claim["fence"]


async def _steer(versions: TwoVersions, session: Session, name: str) -> Any:
    body = {"message": user_message(SHORT, name)}
    path = f"/api/chat/{session.id}/steer"
    _, told = await versions.later.at.call("POST", path, body)
    return told


async def _end(at: Endpoint, path: str, fence: int, first: int) -> None:
    body = {"first": first, "outcome": "finished"}
    status, told = await at.call("POST", f"{path}/end?fence={fence}", body)
    assert status == 200, told


async def _written_by_both(versions: TwoVersions, session: Session) -> None:
    """The later one brings the message; the earlier one stores that it is taken up, and the end."""
    earlier, later = versions.earlier.at, versions.later.at
    path, fence = await _claim(later, session)
    assert (await _steer(versions, session, "steer-1"))["type"] == "pending"
    known: dict[str, list[str]] = {"steers": []}
    _, renewed = await earlier.call("POST", f"{path}/renew?fence={fence}", known)
    assert "steers" not in renewed
    _, renewed = await later.call("POST", f"{path}/renew?fence={fence}", known)
    (message,) = renewed["steers"]
    chunk = {"type": "steering-message", "id": message["id"], "parts": message["parts"]}
    status, stored = await earlier.call("POST", f"{path}/chunks?fence={fence}&first=1", chunk)
    assert (status, stored) == (200, {"next": 2})
    await _end(earlier, path, fence, 2)
    told = await _steer(versions, session, "steer-1")
    assert told["type"] == "delivered"
    await _is_in_one_answer(session, "steer-1")


async def _claimed_at_the_earlier(versions: TwoVersions, session: Session) -> None:
    """It does not note that the worker reads: the message is answered next."""
    path, fence = await _claim(versions.earlier.at, session)
    told = await _steer(versions, session, "steer-1")
    assert (told["type"], told["reason"]) == ("not-delivered", "unsupported")
    await _end(versions.later.at, path, fence, 1)
    await _is_in_one_answer(session, "steer-1")


async def _taken_over_at_the_earlier(versions: TwoVersions, session: Session) -> None:
    """What was noted of the attempt before does not hold for this one."""
    await _claim(versions.later.at, session)
    assert (await _steer(versions, session, "steer-1"))["type"] == "pending"
    path, fence = await _claim(versions.earlier.at, session)
    assert (await _steer(versions, session, "steer-2"))["reason"] == "unsupported"
    await _end(versions.earlier.at, path, fence, 1)
    assert (await _steer(versions, session, "steer-1"))["reason"] == "finished"
    for name in ("steer-1", "steer-2"):
        await _is_in_one_answer(session, name)


async def _is_in_one_answer(session: Session, name: str) -> None:
    async def settled() -> bool:
        snapshot = await session.snapshot()
        answered = [message["id"] for message in snapshot["messages"]].count(name)
        taken_up = json.dumps(snapshot["messages"]).count(f'"steering-message", "id": "{name}"')
        return await session.is_ended() and answered + taken_up == 1 and not snapshot["steers"]

    await eventually(settled, "the message is in one answer", limit_s=40)
