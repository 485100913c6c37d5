"""Calls of a message's last step that wait, and a person's answers since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET, Raw, Struct

from midstream.protocol.chunks import AnyChunk, ToolOutputDeniedChunk, ToolOutputErrorChunk
from midstream.protocol.cut_calls import INTERRUPTED_CALL
from midstream.protocol.messages import Part, StepStartPart, ToolPart, readable_parts
from midstream.providers.base import PendingCall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.agents.tools.executor import Tools
    from midstream.protocol.messages import UIMessage


class PendingApprovals(Struct, kw_only=True):
    """Calls of a continued message, by what its run does with them.

    Attributes:
        allowed: our calls that a person has allowed, not started yet.
        denied: chunks for the calls that a person has refused.
        interrupted: chunks for our calls that a stop or a crash interrupted. They are not
            executed again: they may have taken effect.
        waiting: whether a call waits for the client, or for a person.
    """

    allowed: list[PendingCall] = []
    denied: list[AnyChunk] = []
    interrupted: list[AnyChunk] = []
    waiting: bool = False

    @classmethod
    def of(cls, message: UIMessage, tools: Tools) -> PendingApprovals:
        """Sort the calls of a message's last step."""
        pending = cls()
        for part in _last_step(message.parts):
            if isinstance(part, ToolPart):
                pending._note(part, ours=tools.executes(part.tool_name))
        return pending

    def _note(self, part: ToolPart, *, ours: bool) -> None:
        by_provider = part.provider_executed is True
        if part.state == "approval-requested":
            self.waiting = True
        elif part.state == "approval-responded":
            self._note_response(part, by_provider=by_provider)
        elif by_provider or not (part.state == "input-available" or part.preliminary is True):
            return
        elif ours:
            self.interrupted.append(
                ToolOutputErrorChunk(tool_call_id=part.tool_call_id, error_text=INTERRUPTED_CALL)
            )
        else:
            self.waiting = True

    def _note_response(self, part: ToolPart, *, by_provider: bool) -> None:
        if part.approval is UNSET or part.approval.approved is not True:
            self.denied.append(ToolOutputDeniedChunk(tool_call_id=part.tool_call_id))
        elif not by_provider:
            given = Raw(b"null") if part.input is UNSET else part.input
            call = PendingCall(id=part.tool_call_id, name=part.tool_name, input=given)
            self.allowed.append(call)


def _last_step(parts: Sequence[Raw]) -> list[Part]:
    step: list[Part] = []
    for part in readable_parts(parts):
        if isinstance(part, StepStartPart):
            step.clear()
        step.append(part)
    return step
