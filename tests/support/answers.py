"""Agents with tools, and the answers of people and clients to a message's calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.support.sessions import Transcript

if TYPE_CHECKING:
    from tests.support.gateway import Settings
    from tests.support.sessions import Chunk, Session


_NAMES: Final = (
    *(
        "add",
        "meet",
        "transfer",
        "count",
        "refuse",
        "crash",
        "page",
        "hang",
        "unreadable",
        "dig",
        "delve",
    ),
)


def settings_with_tools() -> Settings:
    """Return agents with tools in Python, one with an approval, and one of the client's.

    Besides, an agent whose model does not exist, and one without tools.
    """
    settings: Settings = {}
    for agent in ("assistant", "responses", "completions"):
        settings[f"agents.{agent}"] = {
            "tools": [f"tests.support.tools:{name}" for name in _NAMES],
            "tool_timeout_s": 5,
            "max_steps": 6,
        }
        approval: dict[str, object] = {"transfer": "tests.support.tools:is_large", "dig": True}
        settings[f"agents.{agent}.needs_approval"] = approval
        settings[f"agents.{agent}.client_tools.where"] = {"description": "Where the person is."}
    settings["agents.lost"] = {"provider": "anthropic", "model": "sim-missing"}
    settings["agents.lost.client_tools.where"] = {"description": "Where the person is."}
    settings["agents.without"] = {"provider": "anthropic", "model": "sim-instant"}
    return settings


FIVE_STEPS: Final = " ".join(
    (
        '[[tool=add {"one": 1, "two": 2} step=1]]',
        '[[tool=meet {"at": "noon"} step=1]] [[tool=meet {"at": "noon"} step=1]]',
        '[[tool=transfer {"amount": 5} step=2]] [[tool=transfer {"amount": 50} step=2]]',
        '[[tool=where step=3]] [[tool=add {"one": 3, "two": 4} step=3]]',
        '[[tool=count {"to": 3} step=4]]',
    )
)
"""Parallel calls, one with an approval, one that the client answers, one that streams."""


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
    """Return the only part that waits for an answer."""
    states = ("input-available", "approval-requested")
    [part] = [part for part in message["parts"] if part.get("state") in states]
    return dict(part)


def with_part(message: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Return a message with a call's part replaced by `part`."""
    call_id = part["toolCallId"]
    parts = [part if p.get("toolCallId") == call_id else p for p in message["parts"]]
    return {**message, "parts": parts}


def allow(message: dict[str, Any], *, approved: bool = True) -> dict[str, Any]:
    """Return a message with its approval answered, as addToolApprovalResponse leaves it."""
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
    """Return the last chunk of a run, which must be a proper `finish`."""
    assert transcript.done
    assert transcript.types[-1] == "finish"
    return transcript.chunks[-1]
