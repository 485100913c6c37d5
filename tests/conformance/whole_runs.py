"""Makes whole answers of the AI SDK and of the gateway comparable.

A deviation is a function for one difference: it rewrites the AI SDK's chunks, and its result must
equal the gateway's chunks.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from tests.conformance.deviations import deviates

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Chunk = dict[str, Any]

AGENTS: Final = {
    "anthropic": "assistant",
    "openai": "responses",
    "openai-chat": "completions",
}
"""Provider, by its name in the gateway's settings -> an agent of the tests."""
ORACLES: Final = {
    "anthropic": "anthropic",
    "openai": "openai-responses",
    "openai-chat": "openai-chat",
}
"""Provider -> its name in the oracle."""
_DELTAS: Final = {
    "text-delta": "delta",
    "reasoning-delta": "delta",
    "tool-input-delta": "inputTextDelta",
}
FINISH: Final = {"type": "finish", "finishReason": "error"}
_PROVIDERS_ID: Final = re.compile(r"\b(msg|rs|fc|call|toolu|resp)_\w+")


@deviates("answer-author")
def answer_author(chunks: list[Chunk]) -> list[Chunk]:
    """Name the agent."""
    return [{**chunks[0], "messageMetadata": "given"}, *chunks[1:]]


@deviates("message-id")
def message_id(chunks: list[Chunk]) -> list[Chunk]:
    """Name the message."""
    return answer_author([{**chunks[0], "messageId": "given"}, *chunks[1:]])


@deviates("answer-metadata")
def answer_metadata(chunks: list[Chunk]) -> list[Chunk]:
    """Add the run's metadata."""
    return [*chunks[:-1], {**chunks[-1], "messageMetadata": "given"}]


@deviates("finish-after-abort")
def finish_after_abort(chunks: list[Chunk]) -> list[Chunk]:
    """End with a finish."""
    return [*chunks[:-1], {"type": "abort"}, {"type": "finish"}]


@deviates("error-ends-the-run")
def error_ends_the_run(chunks: list[Chunk]) -> list[Chunk]:
    """End after the error."""
    index = next(i for i, chunk in enumerate(chunks) if chunk["type"] == "error")
    return [*chunks[: index + 1], FINISH]


@deviates("lost-connection-is-an-error")
def lost_connection(chunks: list[Chunk]) -> list[Chunk]:
    """Say that the connection was lost."""
    assert chunks[-1]["type"] == "broken"
    return [*chunks[:-1], {"type": "error", "errorText": "…"}, FINISH]


@deviates("unreadable-event-is-said-last")
def unreadable_last(chunks: list[Chunk]) -> list[Chunk]:
    """Move the error of an unreadable event to the end."""
    (error,) = [chunk for chunk in chunks if chunk["type"] == "error"]
    *rest, finish_step, _ = [chunk for chunk in chunks if chunk["type"] != "error"]
    assert finish_step["type"] == "finish-step"
    # The error had split the provider's text into two deltas.
    return [*comparable(rest), error, FINISH]


@deviates("error-sentences")
def error_sentences(chunks: list[Chunk]) -> list[Chunk]:
    """Replace the error's text by our sentence."""
    return [{**c, "errorText": "a sentence"} if c["type"] == "error" else c for c in chunks]


@deviates("metadata-before-error")
def metadata_before_error(chunks: list[Chunk]) -> list[Chunk]:
    """Add the run's metadata before the error."""
    return _before_the_end(chunks, {"type": "message-metadata", "messageMetadata": "given"})


@deviates("open-parts-closed")
def close_open_parts(chunks: list[Chunk]) -> list[Chunk]:
    """Close open parts."""
    opened = {c["type"].removesuffix("-start") for c in chunks if "-start" in c["type"]}
    ended = {c["type"].removesuffix("-end") for c in chunks if c["type"].endswith("-end")}
    for part in sorted((opened - ended) & {"text", "reasoning"}):
        end = {"type": f"{part}-end", "id": "one", "providerMetadata": {}}
        chunks = _before_the_end(chunks, end)
    return chunks


@deviates("interrupted-is-other")
def interrupted_is_other(chunks: list[Chunk]) -> list[Chunk]:
    """Replace the reason by `other`."""
    assert chunks[-1]["finishReason"] == "interrupted"
    return [*chunks[:-1], {**chunks[-1], "finishReason": "other"}]


def _before_the_end(chunks: list[Chunk], new: Chunk) -> list[Chunk]:
    last = {"error", "abort", "finish-step"}
    index = next(i for i, chunk in enumerate(chunks) if chunk["type"] in last)
    return [*chunks[:index], new, *chunks[index:]]


def comparable(chunks: Sequence[Chunk]) -> list[Chunk]:
    """Merge deltas; drop ids and values that differ from run to run."""
    merged: list[Chunk] = []
    for chunk in chunks:
        text = _DELTAS.get(chunk["type"])
        if text and merged and merged[-1]["type"] == chunk["type"]:
            merged[-1][text] += chunk[text]
        else:
            merged.append(json.loads(_PROVIDERS_ID.sub("id", json.dumps(chunk))))
    return [_without_chance(chunk) for chunk in merged]


def _without_chance(chunk: Chunk) -> Chunk:
    for name in ("id", "toolCallId", "approvalId"):
        if name in chunk:
            chunk[name] = "one"
    for name in ("messageId", "messageMetadata", "reason"):
        if name in chunk:
            chunk[name] = "given"
    if chunk["type"] == "error" and chunk["errorText"].startswith("unable to"):
        chunk["errorText"] = "a sentence"
    if encrypted := chunk.get("providerMetadata", {}).get("openai", {}):
        encrypted.pop("reasoningEncryptedContent", None)
    return chunk


def rewritten(chunks: list[Chunk], *deviations: Callable[[list[Chunk]], list[Chunk]]) -> Any:
    """Return the AI SDK's chunks with each deviation applied; each must change something."""
    for deviation in deviations:
        before, chunks = chunks, deviation(chunks)
        assert chunks != before, f"{deviation.__name__} is no deviation here"
    return chunks
