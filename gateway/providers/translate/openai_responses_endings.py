"""How responses end: the reasons of their last events, in the AI SDK's words.

Source: @ai-sdk/openai 4.0.118, `responses/map-openai-responses-finish-reason.ts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from protocol.chunks import FinishReason

_INCOMPLETE: Final[dict[str, FinishReason]] = {
    "max_output_tokens": "length",
    "content_filter": "content-filter",
}


def finish_reason(
    incomplete: str | None, *, called: bool, refused: bool, failed: bool
) -> FinishReason:
    """Return why a response ended.

    Args:
        incomplete: the reason that it gives for being incomplete, if it gives one.
        called: a tool of the client's was called.
        refused: the model refused to answer.
        failed: its last event is `response.failed`.
    """
    if incomplete is not None:
        return _INCOMPLETE.get(incomplete, "tool-calls" if called else "other")
    if failed:
        return "error"
    # A call goes before a refusal: the tools are executed all the same.
    if called:
        return "tool-calls"
    return "content-filter" if refused else "stop"
