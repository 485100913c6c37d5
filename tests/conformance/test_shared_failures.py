"""Recorded refusals and aborts, which have no stream to translate, through the whole gateway."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.conformance.oracle import SHARED_CORPUS, events_of, translate
from tests.conformance.whole_runs import (
    close_open_parts,
    comparable,
    error_ends_the_run,
    error_sentences,
    finish_after_abort,
    message_id,
    metadata_before_error,
    rewritten,
)
from tests.support.fixtures import (
    Deployment,
    anyio_backend,
    pytest_runtest_makereport,
    simulator,
    start_deployment,
)
from tests.support.sessions import Transcript

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.support.simulator import Simulator

__all__ = ["anyio_backend", "pytest_runtest_makereport", "simulator"]

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not SHARED_CORPUS.is_dir(), reason="the recordings are not at hand"),
]

PROVIDERS: Final = {
    "anthropic": ("anthropic", ""),
    "openai-responses": ("openai", "/v1"),
    "openai-chat": ("openai-chat", "/v1"),
}
"""The folder's provider -> our name of it, and its path below the server."""


def _recordings(setting: str) -> list[tuple[str, str]]:
    index = SHARED_CORPUS / "fixtures.json"
    fixtures = json.loads(index.read_bytes()) if index.exists() else {}
    return [
        (provider, name)
        for provider in PROVIDERS
        for name, settings in fixtures.get(provider, {}).items()
        if setting in settings
    ]


REFUSED: Final = _recordings("status")
ABORTED: Final = _recordings("abortAfter")


class Far:
    """A provider with one answer for every request: a status and a body, or the beginning of a
    stream and then silence.
    """

    def __init__(self) -> None:
        self.status = 200
        self.content = b""
        self.requests: list[Any] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, and wait until the client leaves."""
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode().lower().split("\r\n")
        length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-len"))
        self.requests.append(json.loads(await reader.readexactly(length)))
        is_stream = self.status == 200
        kind = "text/event-stream" if is_stream else "application/json"
        size = "" if is_stream else f"content-length: {len(self.content)}\r\n"
        answer = f"HTTP/1.1 {self.status} X\r\ncontent-type: {kind}\r\n{size}"
        answer += "connection: close\r\n\r\n"
        writer.write(answer.encode() + self.content)
        await writer.drain()
        await reader.read()
        writer.close()


@pytest.fixture(scope="module")
async def far(anyio_backend: str) -> AsyncIterator[Far]:
    """The provider of all agents."""
    made = Far()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


@pytest.fixture(scope="module")
async def deployment(
    far: Far, simulator: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Deployment]:
    """A gateway with an agent for each provider and each recorded model."""
    index = json.loads((SHARED_CORPUS / "fixtures.json").read_bytes())
    settings: dict[str, dict[str, object]] = {}
    for provider, name in (*REFUSED, *ABORTED):
        kind, path = PROVIDERS[provider]
        settings[f"providers.{kind}"] = {
            "base_url": f"http://127.0.0.1:{far.port}{path}",
            "max_retries": 0,
        }
        model = index[provider][name]["model"]
        settings[f"agents.{provider}"] = {"provider": kind, "model": model}
    with ExitStack() as stack:
        made = start_deployment(simulator, tmp_path_factory.mktemp("failures"), stack)
        await asyncio.to_thread(made.add_gateway, settings)
        yield made


def golden(provider: str, name: str) -> tuple[list[Any], Any, Any]:
    """Return the recorded chunks, the client's message of them, and the request."""
    folder = SHARED_CORPUS / "golden" / provider
    *chunks, last = map(json.loads, (folder / f"{name}.jsonl").read_text().splitlines())
    meta = json.loads((folder / f"{name}.meta.json").read_text())
    return chunks, last["@message"], meta["requests"][0]["body"]


def prefix(provider: str, events: Sequence[bytes], text: str) -> list[bytes]:
    """Return the events up to the end of `text`."""
    for count in range(1, len(events) + 1):
        some = events[:count]
        chunks, _ = translate(provider, some, {})
        if "".join(chunk.get("delta", "") for chunk in chunks) == text:
            return list(some)
    raise AssertionError(f"the recording does not say {text!r}")


@pytest.mark.parametrize(("provider", "name"), REFUSED)
async def test_refused_request_is_what_was_recorded(
    provider: str, name: str, far: Far, deployment: Deployment
) -> None:
    """The request is equal, and the answer is an error whose sentence leaks nothing."""
    settings = json.loads((SHARED_CORPUS / "fixtures.json").read_bytes())[provider][name]
    far.status, far.content = settings["status"], (SHARED_CORPUS / settings["file"]).read_bytes()
    chunks, _, body = golden(provider, name)
    session = deployment.session()
    run = await session.send("Hello", extra={"agent": provider})
    assert far.requests[-1] == body
    expected = rewritten(
        comparable(chunks),
        *(message_id, error_ends_the_run, error_sentences, metadata_before_error),
    )
    assert comparable(run.chunks) == expected
    assert (await session.snapshot())["messages"][-1]["parts"] == []


@pytest.mark.parametrize(("provider", "name"), ABORTED)
async def test_aborted_run_is_what_was_recorded(
    provider: str, name: str, far: Far, deployment: Deployment
) -> None:
    """Stopped after the same text, chunks and message are equal, except at their ends."""
    settings = json.loads((SHARED_CORPUS / "fixtures.json").read_bytes())[provider][name]
    chunks, message, _ = golden(provider, name)
    text = "".join(chunk.get("delta", "") for chunk in chunks)
    events = prefix(provider, events_of(Path(SHARED_CORPUS / settings["file"])), text)
    far.status = 200
    far.content = b"".join(b"data: %b\n\n" % event for event in events)

    session, seen = deployment.session(), Transcript()
    async with session.sending("Hello", extra={"agent": provider}) as response:
        async for _ in seen.follow(response):
            if seen.text == text and seen.types[-1] == "text-delta":
                assert await session.stop()
    assert comparable(seen.chunks) == rewritten(
        comparable(chunks), message_id, close_open_parts, finish_after_abort
    )
    *rest, said = message["parts"]
    cut = {**said, "state": "done", "providerMetadata": {}}
    assert (await session.snapshot())["messages"][-1]["parts"] == [*rest, cut]
