"""The push client: write runs of a gateway's sessions from a worker of your own.

    from midstream.client import Midstream

    async with Midstream("http://127.0.0.1:8000", key=KEY) as client:
        async with client.run("chat-7", key="job-1", text="How do rivers move?") as run:
            await run.text("Slowly.")

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
from midstream.client.run import Run
from midstream.client.sync import MidstreamSync, SyncRun, SyncToolCall

__all__ = [
    "FencedError",
    "KeyReusedError",
    "Midstream",
    "MidstreamError",
    "MidstreamSync",
    "NotAGatewayError",
    "RefusedError",
    "ReplayMismatchError",
    "Run",
    "RunEndedError",
    "RunError",
    "RunOver",
    "RunSkipped",
    "RunStopped",
    "SyncRun",
    "SyncToolCall",
    "ToolCall",
    "ToolError",
    "UnavailableError",
]
