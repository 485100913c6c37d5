"""Continuation of a stored message: the client's answers to its calls, and the work left."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from midstream.protocol.chunks import Json
from midstream.protocol.codec import UNREADABLE, one_line
from midstream.protocol.errors import MalformedFrameError
from midstream.protocol.messages import StepStartPart, ToolPart, UIMessage, parse_part
from midstream.protocol.parts import Fields, fields_of, json_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from midstream.protocol.messages import Part


class _Approval(Struct, frozen=True):
    id: str
    approved: bool | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class _Call(Struct, frozen=True, rename="camel"):
    """The fields of a tool part that matter here; others are carried or ignored."""

    type: str
    tool_call_id: str
    state: str
    provider_executed: bool = False
    # A tool that returns nothing leaves `undefined`, which JSON leaves out.
    output: Json = Raw(b"null")
    error_text: str | UnsetType = UNSET
    approval: _Approval | UnsetType = UNSET
    tool_name: str = ""

    @property
    def tool(self) -> str:
        """The tool's name, from `toolName` or from the part's type."""
        return self.tool_name or self.type.removeprefix("tool-")


_Key: TypeAlias = tuple[str, str, int]

_call_decoder: Final = msgspec.json.Decoder(_Call)


def merge_results(
    stored: UIMessage, client: UIMessage, executed_here: Callable[[str], bool] = lambda _: False
) -> UIMessage | None:
    """Merge a client's answers into a message: outputs and errors of pending calls, approvals.

    A call is pending if it waits in the *stored* message: `input-available` and executed
    neither by the provider nor here, or `approval-requested`. Earlier answers stay. Everything
    else in the client's copy is ignored, unreadable parts included.

    Args:
        stored: the server's message.
        client: the client's copy of it.
        executed_here: whether the server executes the tool of this name: a call of it without
            a result was cut, and is not pending.

    Returns:
        The message with the answers in it, or None if the copy answers nothing.
    """
    answers = _calls(client)
    parts = list(stored.parts)
    answered = False
    for key, (index, call) in _calls(stored).items():
        take = _TAKE.get((call.state, call.provider_executed))
        if take is None or key not in answers:
            continue
        if take is _take_result and executed_here(call.tool):
            continue
        fields = take(fields_of(parts[index]), call, answers[key][1])
        if fields is not None:
            parts[index] = json_of(fields)
            answered = True
    if not answered:
        return None
    raw = msgspec.json.encode(fields_of(stored.raw) | {"parts": json_of(parts)})
    return UIMessage.parse(one_line(raw))


def can_be_continued(
    message: UIMessage, executed_here: Callable[[str], bool] = lambda _: False
) -> bool:
    """Whether a message whose run was cut can be continued without new answers.

    It can if a person has approved a call that has not begun; or if it has calls in its last
    step, and none of them waits for a client or a person.
    """
    if has_approved_call(message):
        return True
    calls = [part for part in _last_calls(message) if isinstance(part, ToolPart)]
    return bool(calls) and not any(
        call.state == "approval-requested"
        or (
            call.state == "input-available"
            and call.provider_executed is not True
            and not executed_here(call.tool_name)
        )
        for call in calls
    )


def waiting_for(message: UIMessage) -> str | None:
    """Return what a whole message waits for: an `approval`, a `tool` of the client, or nothing."""
    calls = [part for part in message.readable_parts() if isinstance(part, ToolPart)]
    if any(call.state == "approval-requested" for call in calls):
        return "approval"
    waits = (c.state == "input-available" and c.provider_executed is not True for c in calls)
    return "tool" if any(waits) else None


def has_approved_call(message: UIMessage) -> bool:
    """Whether a message holds a call of ours that a person has approved and that has not begun."""
    return any(
        isinstance(part, ToolPart) and is_allowed(part) for step in _steps(message) for part in step
    )


def is_allowed(call: ToolPart) -> bool:
    """Whether a person has approved a call of ours that has no result yet."""
    return (
        call.state == "approval-responded"
        and call.provider_executed is not True
        and call.approval is not UNSET
        and call.approval.approved is True
    )


def without_cut_step(message: UIMessage) -> UIMessage:
    """Return a message without its last step, if that step has no calls.

    Such a step was cut in its text. The run that continues after the step before it writes it
    again, and some providers refuse a prompt that begins their own answer.
    """
    steps = _steps(message)
    if len(steps) < 2 or any(isinstance(part, ToolPart) for part in steps[-1]):
        return message
    kept = message.parts[: len(message.parts) - len(steps[-1])]
    raw = msgspec.json.encode(fields_of(message.raw) | {"parts": json_of(kept)})
    return UIMessage.parse(one_line(raw))


def _last_calls(message: UIMessage) -> Sequence[Part | None]:
    """Return the parts of the last step, or of the one before it if that one was cut."""
    return _steps(without_cut_step(message))[-1]


def _steps(message: UIMessage) -> list[list[Part | None]]:
    """Return the parts of each step, from its `step-start` on; None: an unreadable part."""
    steps: list[list[Part | None]] = [[]]
    for raw in message.parts:
        try:
            part = parse_part(raw)
        except MalformedFrameError:
            part = None
        if isinstance(part, StepStartPart):
            steps.append([])
        steps[-1].append(part)
    return steps


def _calls(message: UIMessage) -> dict[_Key, tuple[int, _Call]]:
    """Return the message's calls with their indexes.

    Providers reuse a call's id in later steps, so the key counts its uses: the n-th use in one
    copy of the message matches the n-th in another.
    """
    calls: dict[_Key, tuple[int, _Call]] = {}
    uses: Counter[tuple[str, str]] = Counter()
    for index, raw in enumerate(message.parts):
        try:
            call = _call_decoder.decode(raw)
        except UNREADABLE:
            continue
        name = (call.type, call.tool_call_id)
        calls[*name, uses[name]] = (index, call)
        uses[name] += 1
    return calls


def _take_result(fields: Fields, call: _Call, answer: _Call) -> Fields | None:
    if answer.state == "output-available":
        return fields | {"state": json_of(answer.state), "output": answer.output}
    if answer.state == "output-error" and answer.error_text is not UNSET:
        return fields | {"state": json_of(answer.state), "errorText": json_of(answer.error_text)}
    return None


def _take_approval(fields: Fields, call: _Call, answer: _Call) -> Fields | None:
    asked, given = call.approval, answer.approval
    if asked is UNSET or given is UNSET or given.id != asked.id or given.approved is UNSET:
        return None
    reason = {} if given.reason is UNSET else {"reason": json_of(given.reason)}
    approval = fields_of(fields["approval"]) | {"approved": json_of(given.approved)} | reason
    return fields | {"state": json_of("approval-responded"), "approval": json_of(approval)}


_TAKE: Final[dict[tuple[str, bool], Callable[[Fields, _Call, _Call], Fields | None]]] = {
    ("input-available", False): _take_result,
    ("approval-requested", False): _take_approval,
    ("approval-requested", True): _take_approval,
}
"""(State, whether the provider executes the call) -> the function that merges an answer."""
