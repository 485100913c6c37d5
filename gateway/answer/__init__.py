"""The means to answer, the same for agents inside the gateway and for workers that push."""

from __future__ import annotations

from gateway.answer.answer import Answer
from gateway.answer.tool_call import ToolCall, ToolError

__all__ = ["Answer", "ToolCall", "ToolError"]
