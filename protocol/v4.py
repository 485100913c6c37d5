"""The data stream of ai 4: one line a part, `CODE:JSON`.

A line with an unknown code, or a value of another shape, stops the client. So chunks without a
part in ai 4 are left out. Codes and shapes are those of `dataStreamParts` in
@ai-sdk/ui-utils 1.2, with which ai 4 reads its streams.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from midstream.protocol.chunks import (
    AnyChunk,
    ErrorChunk,
    FileChunk,
    FinishChunk,
    FinishReason,
    FinishStepChunk,
    Json,
    MessageMetadataChunk,
    OpaqueChunk,
    ReasoningDeltaChunk,
    ReasoningEndChunk,
    ReasoningStartChunk,
    SourceUrlChunk,
    StartChunk,
    StartStepChunk,
    TextDeltaChunk,
    ToolInputAvailableChunk,
    ToolInputDeltaChunk,
    ToolInputErrorChunk,
    ToolInputStartChunk,
    ToolOutputAvailableChunk,
    ToolOutputDeniedChunk,
    ToolOutputErrorChunk,
)
from midstream.protocol.codec import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

V4_HEARTBEAT: Final = b"\n"
"""An empty line, which clients skip."""

DENIED: Final = "The call was refused."

_NEWER_REASONS: Final[frozenset[FinishReason | UnsetType]] = frozenset({UNSET, "interrupted"})
"""Finish reasons that ai 4 does not know; a stop gives none at all."""

_encoder: Final = msgspec.json.Encoder()


class _Usage(Struct, rename="camel"):
    input_tokens: int | None = None
    output_tokens: int | None = None


class _Metadata(Struct):
    usage: _Usage | None = None


class _Reasoning(Struct, rename="camel"):
    signature: str | None = None
    redacted_data: str | None = None


_metadata_decoder: Final = msgspec.json.Decoder(_Metadata)
_reasoning_decoder: Final = msgspec.json.Decoder(dict[str, _Reasoning])


class V4Encoder:
    """Encodes one reader's stream: chunks in, in their order, and lines out.

    ai 4 can read every stream that it writes, in whatever order a run's chunks are: the
    message has an id, and every step that began has ended.
    """

    __slots__ = ("_answered", "_failed", "_message_id", "_signatures", "_step", "_usage")

    def __init__(self) -> None:
        self._message_id = ""
        self._step = "none"
        """`none`, `open`, or `over`: its last line waits for the chunk that tells its reason."""
        self._answered: dict[str, bool] = {}
        """The step's calls by id: whether each has its result."""
        self._signatures: dict[str, str] = {}
        self._usage: _Usage | None = None
        self._failed = False

    def encode(self, chunks: Iterable[AnyChunk]) -> bytes:
        """Return the lines for the next chunks; empty if ai 4 gets none of them."""
        lines: list[bytes] = []
        for chunk in chunks:
            write = _WRITERS.get(type(chunk))
            if write is not None:
                lines += write(self, chunk)
        return b"".join(lines)

    def _start(self, chunk: StartChunk) -> Iterator[bytes]:
        if chunk.message_id is not UNSET:
            self._message_id = chunk.message_id
        self._note(chunk.message_metadata)
        yield from ()

    def _metadata(self, chunk: MessageMetadataChunk) -> Iterator[bytes]:
        self._note(chunk.message_metadata)
        yield from ()

    def _note(self, metadata: Json | UnsetType) -> None:
        if metadata is UNSET:
            return
        try:
            self._usage = _metadata_decoder.decode(metadata).usage or self._usage
        except UNREADABLE:
            return  # an application's own

    def _start_step(self, chunk: StartStepChunk | None = None) -> Iterator[bytes]:
        yield from self._end_step("tool-calls" if self._answered else "stop")
        self._step = "open"
        self._answered.clear()
        yield _line("f", {"messageId": self._message_id})

    def _in_step(self) -> Iterator[bytes]:
        """Begin a step for a chunk outside of any."""
        if self._step != "open":
            yield from self._start_step()

    def _finish_step(self, chunk: FinishStepChunk) -> Iterator[bytes]:
        if self._step == "open":
            self._step = "over"
        yield from ()

    def _end_step(self, reason: str) -> Iterator[bytes]:
        if self._step != "none":
            yield _line("e", {"finishReason": reason, "isContinued": False})
        self._step = "none"

    def _finish(self, chunk: FinishChunk) -> Iterator[bytes]:
        self._note(chunk.message_metadata)
        given = chunk.finish_reason
        reason = "unknown" if given in _NEWER_REASONS else str(given)
        if self._failed:
            reason = "error"
        yield from self._end_step(reason)
        if self._answered and all(self._answered.values()):
            # With `maxSteps`, ai 4 sends again when all calls of the last step have results.
            # No run waits for that here: a last step without calls prevents it.
            yield _line("f", {"messageId": self._message_id})
            self._step = "open"
            yield from self._end_step(reason)
        end: dict[str, object] = {"finishReason": reason}
        if (usage := self._usage) is not None:
            end["usage"] = {
                "promptTokens": usage.input_tokens,
                "completionTokens": usage.output_tokens,
            }
        yield _line("d", end)

    def _error(self, chunk: ErrorChunk) -> Iterator[bytes]:
        self._failed = True
        yield _line("3", chunk.error_text)

    def _text(self, chunk: TextDeltaChunk) -> Iterator[bytes]:
        if chunk.delta:
            yield from self._in_step()
            yield _line("0", chunk.delta)

    def _reasoning_start(self, chunk: ReasoningStartChunk) -> Iterator[bytes]:
        yield from self._in_step()
        for details in _details(chunk.provider_metadata):
            if details.redacted_data is not None:
                yield _line("i", {"data": details.redacted_data})
        self._sign(chunk)

    def _reasoning(self, chunk: ReasoningDeltaChunk) -> Iterator[bytes]:
        self._sign(chunk)
        if chunk.delta:
            yield _line("g", chunk.delta)

    def _reasoning_end(self, chunk: ReasoningEndChunk) -> Iterator[bytes]:
        self._sign(chunk)
        if (signature := self._signatures.pop(chunk.id, None)) is not None:
            yield _line("j", {"signature": signature})

    def _sign(self, chunk: ReasoningStartChunk | ReasoningDeltaChunk | ReasoningEndChunk) -> None:
        """Keep a signature for the end of its text, where ai 4 accepts it.

        A replay has the signature at the beginning.
        """
        for details in _details(chunk.provider_metadata):
            if details.signature is not None:
                self._signatures[chunk.id] = details.signature

    def _source(self, chunk: SourceUrlChunk) -> Iterator[bytes]:
        source: dict[str, object] = {"sourceType": "url", "id": chunk.source_id, "url": chunk.url}
        if chunk.title is not UNSET:
            source["title"] = chunk.title
        if chunk.provider_metadata is not UNSET:
            source["providerMetadata"] = chunk.provider_metadata
        yield from self._in_step()
        yield _line("h", source)

    def _file(self, chunk: FileChunk) -> Iterator[bytes]:
        head, comma, data = chunk.url.partition(",")
        if comma and head.startswith("data:") and head.endswith(";base64"):
            yield from self._in_step()
            yield _line("k", {"data": data, "mimeType": chunk.media_type})

    def _data(self, chunk: OpaqueChunk) -> Iterator[bytes]:
        if chunk.is_data:
            yield _line("2", [Raw(chunk.raw)])

    def _call_start(self, chunk: ToolInputStartChunk) -> Iterator[bytes]:
        yield from self._in_step()
        self._answered[chunk.tool_call_id] = False
        yield _line("b", {"toolCallId": chunk.tool_call_id, "toolName": chunk.tool_name})

    def _call_delta(self, chunk: ToolInputDeltaChunk) -> Iterator[bytes]:
        yield _line(
            "c", {"toolCallId": chunk.tool_call_id, "argsTextDelta": chunk.input_text_delta}
        )

    def _call(self, chunk: ToolInputAvailableChunk | ToolInputErrorChunk) -> Iterator[bytes]:
        yield from self._in_step()
        self._answered[chunk.tool_call_id] = False
        call = {"toolCallId": chunk.tool_call_id, "toolName": chunk.tool_name}
        yield _line("9", {**call, "args": _args(chunk.input)})

    def _unusable_call(self, chunk: ToolInputErrorChunk) -> Iterator[bytes]:
        yield from self._call(chunk)
        yield self._result(chunk.tool_call_id, {"error": chunk.error_text})

    def _output(self, chunk: ToolOutputAvailableChunk) -> Iterator[bytes]:
        yield self._result(chunk.tool_call_id, chunk.output)

    def _output_error(self, chunk: ToolOutputErrorChunk) -> Iterator[bytes]:
        yield self._result(chunk.tool_call_id, {"error": chunk.error_text})

    def _output_denied(self, chunk: ToolOutputDeniedChunk) -> Iterator[bytes]:
        yield self._result(chunk.tool_call_id, {"error": DENIED})

    def _result(self, call_id: str, result: object) -> bytes:
        # The result of an earlier step's call does not belong to this step.
        if call_id in self._answered:
            self._answered[call_id] = True
        return _line("a", {"toolCallId": call_id, "result": result})


def _line(code: str, value: object) -> bytes:
    return b"%b:%b\n" % (code.encode(), _encoder.encode(value))


def _args(value: Json) -> object:
    """Return a call's arguments; ai 4 accepts only objects."""
    return value if bytes(value).lstrip()[:1] in (b"{", b"[") else {"input": value}


def _details(metadata: Json | UnsetType) -> Iterable[_Reasoning]:
    """Return the providers' details of a reasoning part."""
    if metadata is UNSET:
        return ()
    try:
        return _reasoning_decoder.decode(metadata).values()
    except UNREADABLE:
        return ()


_WRITERS: Final[dict[type[AnyChunk], Callable[[V4Encoder, Any], Iterator[bytes]]]] = {
    StartChunk: V4Encoder._start,
    MessageMetadataChunk: V4Encoder._metadata,
    StartStepChunk: V4Encoder._start_step,
    FinishStepChunk: V4Encoder._finish_step,
    FinishChunk: V4Encoder._finish,
    ErrorChunk: V4Encoder._error,
    TextDeltaChunk: V4Encoder._text,
    ReasoningStartChunk: V4Encoder._reasoning_start,
    ReasoningDeltaChunk: V4Encoder._reasoning,
    ReasoningEndChunk: V4Encoder._reasoning_end,
    SourceUrlChunk: V4Encoder._source,
    FileChunk: V4Encoder._file,
    OpaqueChunk: V4Encoder._data,
    ToolInputStartChunk: V4Encoder._call_start,
    ToolInputDeltaChunk: V4Encoder._call_delta,
    ToolInputAvailableChunk: V4Encoder._call,
    ToolInputErrorChunk: V4Encoder._unusable_call,
    ToolOutputAvailableChunk: V4Encoder._output,
    ToolOutputErrorChunk: V4Encoder._output_error,
    ToolOutputDeniedChunk: V4Encoder._output_denied,
}
"""Chunk -> the method that writes its lines; ai 4 gets no others."""
