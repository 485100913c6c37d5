"""The means to answer, the same for agents inside the gateway and for workers that push."""

from __future__ import annotations

from midstream.answer.answer import Answer, ToolCall, ToolError

__all__ = ["Answer", "ToolCall", "ToolError"]
