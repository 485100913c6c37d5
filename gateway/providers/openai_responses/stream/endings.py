"""Ends of responses: the reasons of their last events, in the AI SDK's words.

Source: @ai-sdk/openai 4.0.118, `responses/map-openai-responses-finish-reason.ts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midstream.providers.failures.faults import Fault
from midstream.providers.openai.usage import responses_usage
from midstream.providers.openai_responses.stream import events as wire
from midstream.providers.stream.loose import reader

if TYPE_CHECKING:
    from midstream.protocol.chunks import FinishReason
    from midstream.providers.base import StepResult

_INCOMPLETE: Final[dict[str, FinishReason]] = {
    "max_output_tokens": "length",
    "content_filter": "content-filter",
}


_read_ended = reader(wire.Ended)


def take_end(result: StepResult, event: wire.ResponseEvent, *, called: bool, refused: bool) -> bool:
    """Take a response's last event into the step's result; return whether it reports a failure.

    Args:
        result: of the step.
        event: `response.completed`, `response.incomplete` or `response.failed`.
        called: a tool of the client's was called.
        refused: the model refused to answer.

    Raises:
        msgspec.MsgspecError, UnicodeDecodeError, RecursionError: it cannot be read.
    """
    response = _read_ended(wire.object_or_empty(event.response))
    result.usage = responses_usage(response.usage)
    details = response.incomplete_details
    reason = None if details is None else details.reason
    failed = event.type == "response.failed"
    if result.failure is None and result.warning is None:
        result.raw_finish_reason = reason or ("error" if failed else None)
        result.finish_reason = _finish_reason(reason, called=called, refused=refused, failed=failed)
    if failed and reason is not None and bytes(response.error) in (b"", b"null"):
        result.failure = Fault.FAILED.error()  # with the reason that it gives
        return False
    return failed


def _finish_reason(
    incomplete: str | None, *, called: bool, refused: bool, failed: bool
) -> FinishReason:
    """Return why a response ended. `incomplete`: the reason that it gives for being so."""
    if incomplete is not None:
        return _INCOMPLETE.get(incomplete, "tool-calls" if called else "other")
    if failed:
        return "error"
    # A call goes before a refusal: the tools are executed all the same.
    if called:
        return "tool-calls"
    return "content-filter" if refused else "stop"
