"""What people and clients answer to the calls of a message, and how they send it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.sessions import Transcript

if TYPE_CHECKING:
    from tests.support.sessions import Chunk, Session


async def go_on(
    session: Session, message: dict[str, Any], agent: str = "assistant"
) -> Transcript | int:
    """Send a message with its answers; return its run, or the status of a refusal."""
    body = {
        "id": session.id,
        "messages": [message],
        "trigger": "submit-message",
        "messageId": message["id"],
        "agent": agent,
    }
    async with session.at.request("POST", "/api/chat", body) as response:
        if response.status != 200:
            await response.body()
            return int(response.status)
        return await Transcript().read(response)


async def last_message(session: Session) -> dict[str, Any]:
    """Return the conversation's last message, as the snapshot has it."""
    return dict((await session.snapshot())["messages"][-1])


def waiting(message: dict[str, Any]) -> dict[str, Any]:
    """Return the one part that waits for an answer."""
    states = ("input-available", "approval-requested")
    [part] = [part for part in message["parts"] if part.get("state") in states]
    return dict(part)


def with_part(message: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Return a message in which a call's part is another one."""
    call_id = part["toolCallId"]
    parts = [part if p.get("toolCallId") == call_id else p for p in message["parts"]]
    return {**message, "parts": parts}


def allow(message: dict[str, Any], *, approved: bool = True) -> dict[str, Any]:
    """Return a message with its question answered, as addToolApprovalResponse leaves it."""
    part = waiting(message)
    approval = {**part["approval"], "approved": approved, "reason": "I say so"}
    return with_part(message, {**part, "state": "approval-responded", "approval": approval})


def answer(message: dict[str, Any], output: object) -> dict[str, Any]:
    """Return a message with its call answered, as addToolOutput leaves it."""
    return with_part(message, {**waiting(message), "state": "output-available", "output": output})


def outputs(message: dict[str, Any]) -> list[tuple[str, object]]:
    """Return each call of a declared tool with its output, None without one."""
    return [
        (part["type"], part.get("output"))
        for part in message["parts"]
        if part["type"].startswith("tool-")
    ]


def finish_of(transcript: Transcript) -> Chunk:
    """Return the last chunk of a run that ended as it should."""
    assert transcript.done
    assert transcript.types[-1] == "finish"
    return transcript.chunks[-1]
