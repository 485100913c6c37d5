"""Hypothesis strategies: sequences of chunks as an agent may write them, in legal order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from msgspec import UNSET, Raw

from midstream.protocol import (
    AnyChunk,
    ChunkWriter,
    CustomChunk,
    FileChunk,
    FinishStepChunk,
    IllegalChunkError,
    MessageMetadataChunk,
    ReasoningDeltaChunk,
    ReasoningEndChunk,
    ReasoningFileChunk,
    ReasoningStartChunk,
    ResetStepChunk,
    SourceDocumentChunk,
    SourceUrlChunk,
    StartChunk,
    StartStepChunk,
    SteeringMessageChunk,
    TextDeltaChunk,
    TextEndChunk,
    TextStartChunk,
    ToolApprovalRequestChunk,
    ToolApprovalResponseChunk,
    ToolInputAvailableChunk,
    ToolInputDeltaChunk,
    ToolInputErrorChunk,
    ToolInputStartChunk,
    ToolOutputAvailableChunk,
    ToolOutputDeniedChunk,
    ToolOutputErrorChunk,
    data_chunk,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypothesis.strategies import SearchStrategy

    from midstream.protocol import UIMessage

MESSAGE_ID = "answer"


def _raw(*texts: str) -> SearchStrategy[Raw]:
    return st.sampled_from([Raw(text.encode()) for text in texts])


def _maybe(strategy: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return st.just(UNSET) | strategy


_ids = st.sampled_from(["0", "1"])
_calls = st.sampled_from(["call-a", "call-b"])
_tools = st.sampled_from(["weather", "search-web"])
_texts = st.sampled_from(["Hel", "lo ", "", "näif 🎉", '"quoted"\n', "\u2028"])
_inputs = st.sampled_from(['{"city":', '"Par', 'is"', ',"n":[1,', "2]", "}", "tru", "", "-1.5e"])
_json = _raw('{"a":[1,null,"x"]}', '"text"', "null", "[]", "0.5", '{\n  "pretty": "\\n é"\n}')
_objects = _raw('{"a":1}', '{"a":{"b":[1]},"c":null}', '{"a":{"d":"x"}}', "{}")
_metadata = _maybe(_raw('{"p":{"id":"x"}}', '{"p":{"id":"y","n":[1]}}'))
_flags = _maybe(st.booleans())

_common: dict[str, SearchStrategy[Any]] = {
    "provider_metadata": _metadata,
    "tool_metadata": _maybe(_objects),
    "provider_executed": _flags,
}
_call: dict[str, SearchStrategy[Any]] = {
    "tool_call_id": _calls,
    "tool_name": _tools,
    "title": _maybe(_texts),
    "dynamic": _flags,
    **_common,
}

CONTENT: tuple[SearchStrategy[AnyChunk], ...] = (
    st.builds(StartStepChunk),
    st.builds(FinishStepChunk),
    st.builds(ResetStepChunk),
    st.builds(MessageMetadataChunk, message_metadata=_objects),
    st.builds(TextStartChunk, id=_ids, provider_metadata=_metadata),
    st.builds(TextDeltaChunk, id=_ids, delta=_texts, provider_metadata=_metadata),
    st.builds(TextDeltaChunk, id=_ids, delta=_texts),
    st.builds(TextEndChunk, id=_ids, provider_metadata=_metadata, citations=_maybe(_raw("[]"))),
    st.builds(ReasoningStartChunk, id=_ids, provider_metadata=_metadata),
    st.builds(ReasoningDeltaChunk, id=_ids, delta=_texts, provider_metadata=_metadata),
    st.builds(ReasoningEndChunk, id=_ids, provider_metadata=_metadata),
    st.builds(
        ToolInputStartChunk,
        input_encoding=_maybe(st.sampled_from(["json", "text"])),
        **_call,
    ),
    st.builds(ToolInputDeltaChunk, tool_call_id=_calls, input_text_delta=_inputs),
    st.builds(ToolInputDeltaChunk, tool_call_id=_calls, input_text_delta=_inputs),
    st.builds(ToolInputAvailableChunk, input=_json, **_call),
    st.builds(ToolInputErrorChunk, input=_json, error_text=_texts, **_call),
    _calls.flatmap(
        lambda call: st.builds(
            ToolApprovalRequestChunk,
            approval_id=st.just(f"approval of {call}"),
            tool_call_id=st.just(call),
            approval_descriptor=_maybe(_objects),
            input_schema_input=_maybe(_json),
            reason=_maybe(_texts),
            is_automatic=_flags,
            signature=_maybe(_texts),
        )
    ),
    st.builds(
        ToolApprovalResponseChunk,
        approval_id=_calls.map("approval of {}".format),
        approved=st.booleans(),
        reason=_maybe(_texts),
        provider_executed=_flags,
        provider_metadata=_metadata,
    ),
    st.builds(
        ToolOutputAvailableChunk,
        tool_call_id=_calls,
        output=_json,
        preliminary=_flags,
        dynamic=_flags,
        **_common,
    ),
    st.builds(
        ToolOutputErrorChunk, tool_call_id=_calls, error_text=_texts, dynamic=_flags, **_common
    ),
    st.builds(ToolOutputDeniedChunk, tool_call_id=_calls),
    st.builds(
        SourceUrlChunk,
        source_id=_ids,
        url=_texts,
        title=_maybe(_texts),
        provider_metadata=_metadata,
    ),
    st.builds(
        SourceDocumentChunk,
        source_id=_ids,
        media_type=_texts,
        title=_texts,
        filename=_maybe(_texts),
        provider_metadata=_metadata,
    ),
    st.builds(FileChunk, url=_texts, media_type=_texts, provider_metadata=_metadata),
    st.builds(ReasoningFileChunk, url=_texts, media_type=_texts, provider_metadata=_metadata),
    st.builds(CustomChunk, kind=st.just("p.kind"), provider_metadata=_metadata),
    st.builds(
        SteeringMessageChunk, id=_ids, parts=_raw("[]", '[{"type":"text","text":"but faster"}]')
    ),
    st.builds(
        data_chunk,
        st.sampled_from(["chart", "note"]),
        _json,
        id=st.none() | _ids,
        transient=st.booleans(),
    ),
)
"""A strategy for each type of chunk between `start` and the end."""

any_chunk: SearchStrategy[AnyChunk] = st.one_of(CONTENT)

_story = st.lists(any_chunk, max_size=60) | st.lists(any_chunk, min_size=25, max_size=60)
"""Short ones, and some long enough for calls to be approved and answered."""


@st.composite
def runs(
    draw: st.DrawFn, base: UIMessage | None = None, *, mixed: bool = False
) -> tuple[Sequence[AnyChunk], ChunkWriter]:
    """Return the chunks of a run that has not ended, and the writer that took them.

    Args:
        draw: Hypothesis's draw function.
        base: the message that the run continues.
        mixed: whether chunks of one call disagree on whether its tool is dynamic.
    """
    writer = ChunkWriter(MESSAGE_ID, base)
    chunks: list[AnyChunk] = []
    first = draw(
        st.builds(StartChunk, message_id=st.just(MESSAGE_ID), message_metadata=_maybe(_objects))
    )
    for chunk in [first, *draw(_story)]:
        dynamic = getattr(chunk, "dynamic", None)
        if not mixed and dynamic is not None:
            wanted = getattr(chunk, "tool_call_id", "") == "call-b"
            if wanted is not (dynamic is True):
                continue
        try:
            writer.write(chunk)
        except IllegalChunkError:
            continue
        chunks.append(chunk)
    return chunks, writer
