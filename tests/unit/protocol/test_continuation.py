"""A client's answers to what a message leaves open."""

from __future__ import annotations

import json
from typing import Any

import pytest

from protocol import UIMessage, merge_results

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
    """What was answered, what the provider runs and what was said are not the client's."""
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
