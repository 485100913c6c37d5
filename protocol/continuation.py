"""What a client may add to a message that the server wrote: answers to its open questions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from protocol.chunks import Json
from protocol.codec import UNREADABLE, one_line
from protocol.messages import UIMessage
from protocol.parts import Fields, fields_of, json_of

if TYPE_CHECKING:
    from collections.abc import Callable


class _Approval(Struct, frozen=True):
    id: str
    approved: bool | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class _Call(Struct, frozen=True, rename="camel"):
    """The fields of a tool part that decide; what else it has is carried or ignored."""

    type: str
    tool_call_id: str
    state: str
    provider_executed: bool = False
    # A tool that returns nothing leaves `undefined`, which JSON leaves out.
    output: Json = Raw(b"null")
    error_text: str | UnsetType = UNSET
    approval: _Approval | UnsetType = UNSET


_Key: TypeAlias = tuple[str, str, int]

_call_decoder: Final = msgspec.json.Decoder(_Call)


def merge_results(stored: UIMessage, client: UIMessage) -> UIMessage | None:
    """Take over a client's answers: outputs and errors of pending calls, and approvals.

    Pending is a call that waits in the *stored* message: `input-available` and not run by
    the provider, or `approval-requested`. What was answered before stays as it was, and all
    else of the client's copy is ignored, unreadable parts included.

    Args:
        stored: the server's message.
        client: the client's copy of it.

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
        fields = take(fields_of(parts[index]), call, answers[key][1])
        if fields is not None:
            parts[index] = json_of(fields)
            answered = True
    if not answered:
        return None
    raw = msgspec.json.encode(fields_of(stored.raw) | {"parts": json_of(parts)})
    return UIMessage.parse(one_line(raw))


def _calls(message: UIMessage) -> dict[_Key, tuple[int, _Call]]:
    """Return the message's calls with their indexes.

    Providers use a call's id again in later steps, so its n-th use in one copy of the
    message is the n-th in another.
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
"""(State, whether the provider runs the call) -> how it takes an answer."""
