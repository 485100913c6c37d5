"""Results of a cut run's calls, by the side that executes them."""

from __future__ import annotations

import pytest

from midstream.agents.base import AgentTraits, cut_call
from midstream.protocol.cut_calls import INTERRUPTED_CALL, UNCALLED, WaitingCall

EXECUTES = AgentTraits(executes=lambda tool_name: tool_name == "mine")


@pytest.mark.parametrize(
    ("traits", "name", "hosted", "unfinished", "stopped", "expected"),
    [
        pytest.param(EXECUTES, "mine", False, True, True, INTERRUPTED_CALL, id="stopped"),
        pytest.param(EXECUTES, "mine", False, False, False, INTERRUPTED_CALL, id="failed"),
        pytest.param(EXECUTES, "other", False, True, True, None, id="the client's"),
        pytest.param(EXECUTES, "other", True, True, True, INTERRUPTED_CALL, id="hosted, stop"),
        pytest.param(EXECUTES, "other", True, True, False, None, id="hosted, may go on"),
        pytest.param(None, "any", False, True, True, INTERRUPTED_CALL, id="not known"),
        pytest.param(AgentTraits(), "any", False, False, True, None, id="not known, step over"),
    ],
)
def test_call_is_closed_for_people_unless_somebody_may_answer_it(
    traits: AgentTraits | None,
    name: str,
    hosted: bool,
    unfinished: bool,
    stopped: bool,
    expected: str | None,
) -> None:
    """The client, or a provider whose answer goes on."""
    call = WaitingCall(id="c", name=name, provider_executed=hosted, unfinished=unfinished)
    assert cut_call(traits, {"c"}, stopped=stopped)(call) == expected


def test_call_whose_tool_was_not_started_is_told_from_one_that_was() -> None:
    """The model may call it again without a thought."""
    call = WaitingCall(id="c", name="mine", provider_executed=False)
    assert cut_call(EXECUTES, set(), stopped=True)(call) == UNCALLED
