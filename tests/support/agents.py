"""Agents in Python, which gateways of tests import by path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Raw

from midstream.protocol.chunks import (
    CustomChunk,
    FileChunk,
    FinishChunk,
    FinishStepChunk,
    MessageMetadataChunk,
    ReasoningDeltaChunk,
    ReasoningEndChunk,
    ReasoningFileChunk,
    ReasoningStartChunk,
    SourceDocumentChunk,
    SourceUrlChunk,
    StartStepChunk,
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
)
from midstream.protocol.codec import data_chunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from midstream import Run
    from midstream.protocol.chunks import AnyChunk

SIGNED = Raw(b'{"anthropic":{"signature":"sig"}}')
REDACTED = Raw(b'{"anthropic":{"redactedData":"xyz"}}')
EMPTY = Raw(b"{}")
PIXEL = "data:image/png;base64,iVBORw0KGgo="

THOUGHT: Sequence[AnyChunk] = (
    ReasoningStartChunk(id="r", provider_metadata=EMPTY),
    ReasoningDeltaChunk(id="r", delta="Let me think."),
    ReasoningDeltaChunk(id="r", delta="", provider_metadata=SIGNED),
    ReasoningEndChunk(id="r"),
    ReasoningStartChunk(id="r2", provider_metadata=REDACTED),
    ReasoningEndChunk(id="r2"),
    ReasoningFileChunk(url=PIXEL, media_type="image/png"),
    CustomChunk(kind="anthropic.compaction", provider_metadata=EMPTY),
)

CALLS: Sequence[AnyChunk] = (
    ToolInputStartChunk(tool_call_id="c1", tool_name="look", title="Look", dynamic=False),
    ToolInputDeltaChunk(tool_call_id="c1", input_text_delta='{"at":'),
    ToolInputDeltaChunk(tool_call_id="c1", input_text_delta='"it"}'),
    ToolInputAvailableChunk(tool_call_id="c1", tool_name="look", input=Raw(b'{"at":"it"}')),
    ToolOutputAvailableChunk(tool_call_id="c1", output=Raw(b'"half"'), preliminary=True),
    ToolOutputAvailableChunk(tool_call_id="c1", output=Raw(b'{"seen":"all"}')),
    ToolInputAvailableChunk(
        tool_call_id="c2", tool_name="mcp.find", input=EMPTY, dynamic=True, provider_executed=True
    ),
    ToolOutputErrorChunk(
        tool_call_id="c2", error_text="not found", dynamic=True, provider_executed=True
    ),
    ToolInputErrorChunk(
        tool_call_id="c3", tool_name="nobody", input=Raw(b'"raw"'), error_text="no such tool"
    ),
    ToolInputStartChunk(tool_call_id="c4", tool_name="pay", input_encoding="text"),
    ToolInputDeltaChunk(tool_call_id="c4", input_text_delta="all of it"),
    ToolInputAvailableChunk(tool_call_id="c4", tool_name="pay", input=Raw(b'"all of it"')),
    ToolApprovalRequestChunk(approval_id="ap", tool_call_id="c4", reason="it costs"),
    ToolApprovalResponseChunk(approval_id="ap", approved=False, reason="no"),
    ToolOutputDeniedChunk(tool_call_id="c4"),
)

REST: Sequence[AnyChunk] = (
    SourceUrlChunk(source_id="s1", url="https://a.example", title="A", provider_metadata=EMPTY),
    SourceDocumentChunk(source_id="s2", media_type="application/pdf", title="B", filename="b.pdf"),
    FileChunk(url=PIXEL, media_type="image/png"),
    data_chunk("weather", Raw(b'{"t":20}'), id="w"),
    data_chunk("note", Raw(b'"passing"'), transient=True),
    TextStartChunk(id="t"),
    TextDeltaChunk(id="t", delta="All of it."),
    TextEndChunk(id="t", citations=Raw(b"[]"), provider_metadata=EMPTY),
    MessageMetadataChunk(message_metadata=Raw(b'{"usage":{"inputTokens":3,"outputTokens":4}}')),
)


async def everything(run: Run) -> AsyncIterator[Sequence[AnyChunk]]:
    """Yield every type of chunk that an agent can write, in two steps."""
    yield [StartStepChunk(), *THOUGHT]
    yield [*CALLS, FinishStepChunk()]
    yield [StartStepChunk(), *REST, FinishStepChunk()]
    yield [FinishChunk(finish_reason="interrupted")]


async def answered(run: Run) -> AsyncIterator[Sequence[AnyChunk]]:
    """Yield one step without text, whose calls all have results."""
    yield [StartStepChunk(), *CALLS, FinishStepChunk()]
    yield [FinishChunk(finish_reason="stop")]
