"""AG-UI 1.0: a run's chunks as the events of its `HttpAgent`.

Names and order are those of @ag-ui/core 1.0.0 and of the checks in @ag-ui/client 1.0.0: a run
begins with RUN_STARTED, whatever is open is closed before its end, and nothing follows that.
What AG-UI has no event for is CUSTOM, under the type that it has in the AI SDK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec
from msgspec import UNSET, Raw

from midstream.protocol.chunks import (
    AbortChunk,
    ErrorChunk,
    FileChunk,
    FinishChunk,
    FinishStepChunk,
    OpaqueChunk,
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
)
from midstream.protocol.codec import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from midstream.protocol.chunks import AnyChunk, Json

DENIED: Final = "The call was denied."

Event: TypeAlias = dict[str, Any]

_encoder: Final = msgspec.json.Encoder()


def event_bytes(event: Event) -> bytes:
    """Return one server-sent event."""
    return b"data: %b\n\n" % _encoder.encode(event)


class AgUiEncoder:
    """Encodes one reader's stream: chunks in, in their order, and events out.

    Args:
        thread_id, run_id: as the client named the session and its send.
    """

    def __init__(self, thread_id: str, run_id: str) -> None:
        self._names = {"threadId": thread_id, "runId": run_id}
        self._message_id = run_id
        self._started = False
        self._ended = False
        self._aborted = False
        self._step: str | None = None
        self._steps = 0
        self._texts: dict[str, str] = {}
        """The open texts: the AI SDK's id -> AG-UI's message."""
        self._thoughts: dict[str, str] = {}
        self._made = 0
        self._calls: dict[str, int] = {}
        """The open calls -> how many pieces of their input were sent."""
        self._unanswered: dict[str, None] = {}
        self._approvals: dict[str, Event] = {}

    def encode(self, chunks: Iterable[AnyChunk]) -> bytes:
        """Return the events of the next chunks; empty if AG-UI gets none of them."""
        events: list[Event] = []
        for chunk in chunks:
            if self._ended:
                break
            if (write := _WRITERS.get(type(chunk))) is not None:
                if not self._started:
                    self._started = True
                    events.append({"type": "RUN_STARTED", **self._names})
                events += write(self, chunk)
        return b"".join(map(event_bytes, events))

    # -- the run ------------------------------------------------------------------------------

    def _start(self, chunk: StartChunk) -> Iterator[Event]:
        if chunk.message_id is not UNSET:
            self._message_id = chunk.message_id
        yield from ()

    def _abort(self, _: AbortChunk) -> Iterator[Event]:
        self._aborted = True
        yield from ()

    def _error(self, chunk: ErrorChunk) -> Iterator[Event]:
        yield from self._close()
        self._ended = True
        yield {"type": "RUN_ERROR", "message": chunk.error_text}

    def _finish(self, _: FinishChunk) -> Iterator[Event]:
        yield from self._close()
        self._ended = True
        yield {"type": "RUN_FINISHED", **self._names, "outcome": self._outcome()}

    def _outcome(self) -> Event:
        if self._aborted:
            return {"type": "cancelled"}
        if self._approvals:
            return {"type": "interrupt", "interrupts": list(self._approvals.values())}
        pending = list(self._unanswered)
        return {"type": "success", **({"pendingToolCallIds": pending} if pending else {})}

    def _close(self) -> Iterator[Event]:
        """Close what is open, so that the end may come."""
        for text in list(self._texts):
            yield from self._end_text(text)
        for thought in list(self._thoughts):
            yield from self._end_thought(thought)
        for call in list(self._calls):
            yield from self._end_call(call)
        yield from self._end_step()

    # -- steps --------------------------------------------------------------------------------

    def _start_step(self, _: StartStepChunk) -> Iterator[Event]:
        yield from self._end_step()
        self._steps += 1
        self._step = f"step {self._steps}"
        yield {"type": "STEP_STARTED", "stepName": self._step}

    def _finish_step(self, _: FinishStepChunk) -> Iterator[Event]:
        yield from self._end_step()

    def _end_step(self) -> Iterator[Event]:
        if self._step is not None:
            yield {"type": "STEP_FINISHED", "stepName": self._step}
            self._step = None

    def _reset_step(self, _: ResetStepChunk) -> Iterator[Event]:
        """The step is repeated: what it had said stays, as messages of its own."""
        step, self._step = self._step, None
        yield from self._close()
        self._step = step

    # -- texts and thoughts -------------------------------------------------------------------

    def _new_message(self) -> str:
        """Name a message: the first has the id that the session's message has."""
        self._made += 1
        return self._message_id if self._made == 1 else f"{self._message_id}-{self._made}"

    def _start_text(self, chunk: TextStartChunk) -> Iterator[Event]:
        yield from self._end_text(chunk.id)
        message = self._texts[chunk.id] = self._new_message()
        yield {"type": "TEXT_MESSAGE_START", "messageId": message, "role": "assistant"}

    def _text(self, chunk: TextDeltaChunk) -> Iterator[Event]:
        message = self._texts.get(chunk.id)
        if message is not None and chunk.delta:
            yield {"type": "TEXT_MESSAGE_CONTENT", "messageId": message, "delta": chunk.delta}

    def _text_end(self, chunk: TextEndChunk) -> Iterator[Event]:
        yield from self._end_text(chunk.id)

    def _end_text(self, text: str) -> Iterator[Event]:
        message = self._texts.pop(text, None)
        if message is not None:
            yield {"type": "TEXT_MESSAGE_END", "messageId": message}

    def _start_thought(self, chunk: ReasoningStartChunk) -> Iterator[Event]:
        yield from self._end_thought(chunk.id)
        self._made += 1
        thought = self._thoughts[chunk.id] = f"{self._message_id}-{self._made}"
        yield {"type": "REASONING_START", "messageId": thought}
        yield {"type": "REASONING_MESSAGE_START", "messageId": thought, "role": "reasoning"}

    def _thought(self, chunk: ReasoningDeltaChunk) -> Iterator[Event]:
        thought = self._thoughts.get(chunk.id)
        if thought is not None and chunk.delta:
            yield {
                "type": "REASONING_MESSAGE_CONTENT",
                "messageId": thought,
                "delta": chunk.delta,
            }

    def _thought_end(self, chunk: ReasoningEndChunk) -> Iterator[Event]:
        yield from self._end_thought(chunk.id)

    def _end_thought(self, id_: str) -> Iterator[Event]:
        thought = self._thoughts.pop(id_, None)
        if thought is not None:
            yield {"type": "REASONING_MESSAGE_END", "messageId": thought}
            yield {"type": "REASONING_END", "messageId": thought}

    # -- calls of tools -----------------------------------------------------------------------

    def _start_call(self, call: str, name: str) -> Iterator[Event]:
        if call not in self._calls and call not in self._unanswered:
            self._calls[call] = 0
            yield {
                "type": "TOOL_CALL_START",
                "toolCallId": call,
                "toolCallName": name,
                "parentMessageId": self._message_id,
            }
        self._unanswered[call] = None

    def _input_start(self, chunk: ToolInputStartChunk) -> Iterator[Event]:
        yield from self._start_call(chunk.tool_call_id, chunk.tool_name)

    def _input(self, chunk: ToolInputDeltaChunk) -> Iterator[Event]:
        yield from self._arguments(chunk.tool_call_id, chunk.input_text_delta)

    def _arguments(self, call: str, delta: str) -> Iterator[Event]:
        if call in self._calls and delta:
            self._calls[call] += 1
            yield {"type": "TOOL_CALL_ARGS", "toolCallId": call, "delta": delta}

    def _input_end(self, chunk: ToolInputAvailableChunk | ToolInputErrorChunk) -> Iterator[Event]:
        yield from self._start_call(chunk.tool_call_id, chunk.tool_name)
        if self._calls.get(chunk.tool_call_id) == 0:
            yield from self._arguments(chunk.tool_call_id, bytes(chunk.input).decode())
        yield from self._end_call(chunk.tool_call_id)
        if isinstance(chunk, ToolInputErrorChunk):
            yield self._result(chunk.tool_call_id, chunk.error_text)

    def _end_call(self, call: str) -> Iterator[Event]:
        if self._calls.pop(call, None) is not None:
            yield {"type": "TOOL_CALL_END", "toolCallId": call}

    def _output(self, chunk: ToolOutputAvailableChunk) -> Iterator[Event]:
        if chunk.preliminary is not True:
            yield self._result(chunk.tool_call_id, _text_of(chunk.output))

    def _output_error(self, chunk: ToolOutputErrorChunk) -> Iterator[Event]:
        yield self._result(chunk.tool_call_id, chunk.error_text)

    def _denied(self, chunk: ToolOutputDeniedChunk) -> Iterator[Event]:
        yield self._result(chunk.tool_call_id, DENIED)

    def _result(self, call: str, content: str) -> Event:
        self._unanswered.pop(call, None)
        return {
            "type": "TOOL_CALL_RESULT",
            "messageId": f"{call}-result",
            "toolCallId": call,
            "content": content,
            "role": "tool",
        }

    def _approval(self, chunk: ToolApprovalRequestChunk) -> Iterator[Event]:
        """A person is asked: the run ends with it, and `resume` of the next one answers."""
        if chunk.is_automatic is not True:
            self._approvals[chunk.approval_id] = {
                "id": chunk.approval_id,
                "reason": "approval",
                "toolCallId": chunk.tool_call_id,
                **({"message": chunk.reason} if isinstance(chunk.reason, str) else {}),
            }
        yield from ()

    def _approved(self, chunk: ToolApprovalResponseChunk) -> Iterator[Event]:
        self._approvals.pop(chunk.approval_id, None)
        yield from ()

    # -- everything else ----------------------------------------------------------------------

    def _custom(self, chunk: AnyChunk) -> Iterator[Event]:
        fields = msgspec.json.decode(encode(chunk), type=dict[str, Raw])
        name = msgspec.json.decode(fields.pop("type"), type=str)
        yield {"type": "CUSTOM", "name": name, "value": fields}


def _text_of(output: Json) -> str:
    """Return a tool's output as text: a string as it is, and anything else as JSON."""
    value = bytes(output)
    return msgspec.json.decode(value, type=str) if value.startswith(b'"') else value.decode()


_WRITERS: Final[dict[type, Callable[[AgUiEncoder, Any], Iterable[Event]]]] = {
    StartChunk: AgUiEncoder._start,
    AbortChunk: AgUiEncoder._abort,
    ErrorChunk: AgUiEncoder._error,
    FinishChunk: AgUiEncoder._finish,
    StartStepChunk: AgUiEncoder._start_step,
    FinishStepChunk: AgUiEncoder._finish_step,
    ResetStepChunk: AgUiEncoder._reset_step,
    TextStartChunk: AgUiEncoder._start_text,
    TextDeltaChunk: AgUiEncoder._text,
    TextEndChunk: AgUiEncoder._text_end,
    ReasoningStartChunk: AgUiEncoder._start_thought,
    ReasoningDeltaChunk: AgUiEncoder._thought,
    ReasoningEndChunk: AgUiEncoder._thought_end,
    ToolInputStartChunk: AgUiEncoder._input_start,
    ToolInputDeltaChunk: AgUiEncoder._input,
    ToolInputAvailableChunk: AgUiEncoder._input_end,
    ToolInputErrorChunk: AgUiEncoder._input_end,
    ToolOutputAvailableChunk: AgUiEncoder._output,
    ToolOutputErrorChunk: AgUiEncoder._output_error,
    ToolOutputDeniedChunk: AgUiEncoder._denied,
    ToolApprovalRequestChunk: AgUiEncoder._approval,
    ToolApprovalResponseChunk: AgUiEncoder._approved,
    FileChunk: AgUiEncoder._custom,
    SourceUrlChunk: AgUiEncoder._custom,
    SourceDocumentChunk: AgUiEncoder._custom,
    ReasoningFileChunk: AgUiEncoder._custom,
    SteeringMessageChunk: AgUiEncoder._custom,
    OpaqueChunk: AgUiEncoder._custom,
}
