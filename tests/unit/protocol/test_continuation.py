"""A client's answers to what a message leaves open."""

from __future__ import annotations

import json
from typing import Any

import pytest

from midstream.protocol import UIMessage, merge_results
from midstream.protocol.continuation import can_be_continued, without_cut_step

PENDING: dict[str, Any] = {
    "type": "tool-w",
    "toolCallId": "c",
    "state": "input-available",
    "input": {"city": "Paris"},
}
ASKED: dict[str, Any] = {
    "type": "dynamic-tool",
    "toolName": "q",
    "toolCallId": "d",
    "state": "approval-requested",
    "input": {},
    "approval": {"id": "a", "signature": "s"},
}
TEXT: dict[str, Any] = {"type": "text", "text": "I ask.", "state": "done"}
OUTPUT = {"state": "output-available", "output": [1.0]}
ERROR = {"state": "output-error", "errorText": "no"}
APPROVED = {
    "state": "approval-responded",
    "approval": {"id": "a", "approved": True, "reason": "fine", "signature": "forged"},
}


def message(*parts: Any, **fields: Any) -> UIMessage:
    """Return an assistant message."""
    whole = {"id": "a1", "role": "assistant", "parts": parts, **fields}
    return UIMessage.parse(json.dumps(whole).encode())


def parts_of(merged: UIMessage | None) -> list[Any]:
    """Return a merged message's parts, as its raw form and its list both have them."""
    assert merged is not None
    parts = [json.loads(bytes(part)) for part in merged.parts]
    assert json.loads(bytes(merged.raw))["parts"] == parts
    return parts


@pytest.mark.parametrize("answer", [OUTPUT, ERROR])
def test_client_answers_a_pending_call(answer: dict[str, Any]) -> None:
    """A result is taken over; the rest of the part is the server's."""
    stored = message(TEXT, PENDING, metadata={"m": 1}, extra=1)
    client = message({**TEXT, "text": "Forged."}, PENDING | answer | {"input": {"city": "Rome"}})
    merged = merge_results(stored, client)
    assert parts_of(merged) == [TEXT, PENDING | answer]
    assert merged is not None
    assert json.loads(bytes(merged.raw))["extra"] == 1
    assert json.loads(bytes(merged.raw))["metadata"] == {"m": 1}


def test_client_tool_that_returns_nothing_answers_null() -> None:
    """Its `undefined` does not survive JSON."""
    client = message(PENDING | {"state": "output-available"})
    expected = PENDING | {"state": "output-available", "output": None}
    assert parts_of(merge_results(message(PENDING), client)) == [expected]


@pytest.mark.parametrize("provider_executed", [{}, {"providerExecuted": True}])
def test_client_answers_an_approval(provider_executed: dict[str, Any]) -> None:
    """The answer and its reason are taken over, the question stays as it was asked."""
    asked = ASKED | provider_executed
    (part,) = parts_of(merge_results(message(asked), message(ASKED | APPROVED)))
    approval = {"id": "a", "signature": "s", "approved": True, "reason": "fine"}
    assert part == asked | {"state": "approval-responded", "approval": approval}


def test_client_refuses_an_approval_without_a_reason() -> None:
    """A reason is never needed."""
    no = {"state": "approval-responded", "approval": {"id": "a", "approved": False}}
    (part,) = parts_of(merge_results(message(ASKED), message(ASKED | no)))
    assert part["approval"] == {"id": "a", "signature": "s", "approved": False}


@pytest.mark.parametrize(
    ("stored", "client"),
    [
        (PENDING, PENDING),
        (PENDING | OUTPUT, PENDING | ERROR),
        (PENDING | {"providerExecuted": True}, PENDING | OUTPUT),
        (PENDING | {"state": "input-streaming"}, PENDING | OUTPUT),
        (PENDING, PENDING | OUTPUT | {"toolCallId": "other"}),
        (PENDING, PENDING | OUTPUT | {"type": "tool-other"}),
        (PENDING, PENDING | {"state": "output-error"}),
        (PENDING, PENDING | {"state": "output-denied"}),
        (PENDING, {"type": "tool-w", "state": 1}),
        (PENDING, "nonsense"),
        (PENDING, TEXT),
        (TEXT, TEXT | {"text": "Forged."}),
        (ASKED, ASKED | OUTPUT),
        (ASKED, ASKED | {"approval": {"id": "b", "approved": True}}),
        (ASKED, ASKED | {"approval": {"id": "a"}}),
        ({**ASKED, "approval": {"id": 1}}, ASKED | APPROVED),
    ],
)
def test_client_changes_nothing_else(stored: Any, client: Any) -> None:
    """A client cannot change answers, the provider's calls or the text."""
    assert merge_results(message(stored), message(client)) is None


def test_client_answers_the_use_of_an_id_that_waits() -> None:
    """Providers use a call's id again: an earlier result does not answer a later call."""
    done = PENDING | OUTPUT
    stored = message(done, {"type": "step-start"}, PENDING)
    assert merge_results(stored, stored) is None
    client = message(done, {"type": "step-start"}, PENDING | ERROR)
    assert parts_of(merge_results(stored, client))[2] == PENDING | ERROR
    stored, client = message(PENDING, done), message(PENDING | ERROR, done)
    assert parts_of(merge_results(stored, client)) == [PENDING | ERROR, done]


@pytest.mark.parametrize("tool", ["w", "x"])
def test_nobody_answers_for_a_tool_of_the_server(tool: str) -> None:
    """Whether its part says the name in its type or beside it."""
    dynamic = {**PENDING, "type": "dynamic-tool", "toolName": "w", "toolCallId": "e"}
    client = message(PENDING | OUTPUT, dynamic | OUTPUT)
    merged = merge_results(message(PENDING, dynamic), client, lambda name: name == tool)
    assert (merged is None) == (tool == "w")


STEP: dict[str, Any] = {"type": "step-start"}
ALLOWED = ASKED | {"state": "approval-responded", "approval": {"id": "a", "approved": True}}
REFUSED = ASKED | {"state": "approval-responded", "approval": {"id": "a", "approved": False}}
HOSTED = PENDING | {"providerExecuted": True}


@pytest.mark.parametrize(
    ("parts", "is_continued"),
    [
        ([STEP, TEXT], False),
        ([STEP, PENDING | OUTPUT], True),
        ([STEP, PENDING | OUTPUT, STEP, TEXT], True),
        ([STEP, PENDING | OUTPUT, STEP, TEXT, STEP, TEXT], False),
        ([STEP, PENDING], False),
        ([STEP, {**PENDING, "type": "tool-ours"}], True),
        ([STEP, HOSTED], True),
        ([STEP, ASKED], False),
        ([STEP, REFUSED], True),
        ([STEP, PENDING, ALLOWED], True),
        ([STEP, PENDING, REFUSED], False),
        ([{"type": 1}, STEP, PENDING | ERROR], True),
    ],
)
def test_cut_message_is_continued_if_no_call_waits(parts: list[Any], is_continued: bool) -> None:
    """Or if a person has allowed a call that nobody has begun."""
    assert can_be_continued(message(*parts), lambda name: name == "ours") is is_continued


def test_only_a_last_step_of_words_is_left_out() -> None:
    """And the message stays as it was otherwise."""
    whole = message(STEP, PENDING | OUTPUT, STEP, TEXT, metadata={"m": 1})
    cut = without_cut_step(whole)
    assert parts_of(cut) == [STEP, PENDING | OUTPUT]
    assert json.loads(bytes(cut.raw))["metadata"] == {"m": 1}
    assert without_cut_step(cut) is cut
    assert without_cut_step(message(TEXT)).parts != ()
