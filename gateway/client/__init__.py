"""The client: write runs of a gateway's sessions from a worker of your own, and read sessions.

    from midstream.client import Midstream

    async with Midstream("http://127.0.0.1:8000", key=KEY) as client:
        async with client.run("chat-7", key="job-1", text="How do rivers move?") as run:
            await run.text("Slowly.")
        print((await client.session("chat-7").snapshot()).messages)

`MidstreamSync` is the same without `async` and `await`. The client needs the extra `client` and
nothing of the server. It imports only the standard library, msgspec and, when a client is opened,
the HTTP library.
"""

from __future__ import annotations

from midstream.answer import ToolCall, ToolError
from midstream.client.client import Midstream
from midstream.client.errors import (
    FencedError,
    KeyReusedError,
    MidstreamError,
    NotAGatewayError,
    RefusedError,
    ReplayMismatchError,
    RunEndedError,
    RunError,
    RunOver,
    RunSkipped,
    RunStopped,
    UnavailableError,
)
from midstream.client.reading.records import (
    ChunksEvent,
    ErasedEvent,
    LostEvent,
    MessageEvent,
    PresenceEvent,
    Present,
    QueueEvent,
    QueueSeen,
    RunEvent,
    RunSeen,
    Sent,
    SessionEvent,
    Snapshot,
    SnapshotEvent,
    SteerEvent,
    Versions,
    Waiting,
)
from midstream.client.reading.session import Session
from midstream.client.reading.sync import SyncSession
from midstream.client.run import Run
from midstream.client.sync import MidstreamSync, SyncRun, SyncToolCall

__all__ = [
    "ChunksEvent",
    "ErasedEvent",
    "FencedError",
    "KeyReusedError",
    "LostEvent",
    "MessageEvent",
    "Midstream",
    "MidstreamError",
    "MidstreamSync",
    "NotAGatewayError",
    "PresenceEvent",
    "Present",
    "QueueEvent",
    "QueueSeen",
    "RefusedError",
    "ReplayMismatchError",
    "Run",
    "RunEndedError",
    "RunError",
    "RunEvent",
    "RunOver",
    "RunSeen",
    "RunSkipped",
    "RunStopped",
    "Sent",
    "Session",
    "SessionEvent",
    "Snapshot",
    "SnapshotEvent",
    "SteerEvent",
    "SyncRun",
    "SyncSession",
    "SyncToolCall",
    "ToolCall",
    "ToolError",
    "UnavailableError",
    "Versions",
    "Waiting",
]
