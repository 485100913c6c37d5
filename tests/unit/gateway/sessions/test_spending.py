"""The estimated cost of a run, and its real one."""

from __future__ import annotations

import pytest
from msgspec import Raw

from midstream.agents.base import AgentTraits, Spending
from midstream.ids import SessionId
from midstream.protocol.messages import UIMessage
from midstream.providers.base import Usage
from midstream.sessions.spending import UNKNOWN_TOKENS, cost_of, cost_of_call, tokens_used
from midstream.sessions.types import StartRequest
from midstream.store.records import Trigger

MESSAGE = b'{"id":"u","role":"user","parts":[]}'
TOLD = b'{"metadata":{"usage":{"inputTokens":100,"outputTokens":20}}}'


def test_send_costs_its_last_message_and_its_agents_longest_answer() -> None:
    """The rest of the history is stored already."""
    message = UIMessage.parse(MESSAGE)
    request = StartRequest(
        session_id=SessionId("c"), messages=(message, message), trigger=Trigger.SUBMIT
    )
    assert cost_of(request).size_bytes == len(MESSAGE)
    assert cost_of(request).tokens == UNKNOWN_TOKENS
    assert cost_of(request, AgentTraits(max_output_tokens=7)).tokens == 7
    assert cost_of_call([Raw(b'{"type":"text"}'), Raw(b"{}")]).size_bytes == 17
    assert cost_of_call(None).size_bytes == 0


@pytest.mark.parametrize(
    ("message", "known", "before", "whole", "expected"),
    [
        pytest.param(TOLD, 5, None, True, 5, id="its agent knows best"),
        pytest.param(TOLD, None, None, True, 120, id="its message says"),
        pytest.param(b'{"metadata":{"usage":{"totalTokens":9}}}', None, None, True, 9, id="total"),
        pytest.param(TOLD + b" " * 740, None, None, False, 200, id="cut: at least by its length"),
        pytest.param(TOLD, 150, None, False, 150, id="cut: at least what is known"),
        pytest.param(b" " * 400, None, None, True, 100, id="nobody says"),
        pytest.param(TOLD + b" " * 40, None, TOLD, True, 10, id="what it goes on with says it"),
        pytest.param(b"x", None, TOLD, True, 0, id="shorter than it was"),
        pytest.param(b'{"metadata":"odd"}', None, None, True, 4, id="metadata of another kind"),
    ],
)
def test_run_uses_what_is_told_or_what_its_length_tells(
    message: bytes, known: int | None, before: bytes | None, whole: bool, expected: int
) -> None:
    """A caller who stops each answer before its end has used something, too."""
    assert tokens_used(message, known=known, before=before, whole=whole) == expected


def test_agent_says_what_it_has_used_so_far() -> None:
    """A step of which nobody knows changes nothing."""
    spent = Spending()
    for usage in (None, Usage()):
        spent.note(usage)
        assert spent.tokens is None
    spent.note(Usage(input_tokens=3))
    assert spent.tokens == 3
    spent.note(Usage(input_tokens=3, output_tokens=4))
    spent.note(None)
    assert spent.tokens == 7
