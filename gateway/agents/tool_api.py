"""What a tool written in Python may import: who calls it, and how to fail in its own words."""

from __future__ import annotations

from msgspec import Struct

from gateway.answer import ToolError
from gateway.ids import NO_TENANT, RunId, SessionId, TenantId, UserId

__all__ = ["ToolContext", "ToolError"]


class ToolContext(Struct, frozen=True, kw_only=True):
    """Who calls a tool. A parameter annotated with it is filled in; no model sees it.

    `user`: the `sub` of the token. The same `sub` in another `tenant` is another person.
    """

    session_id: SessionId
    run_id: RunId
    user: UserId
    tool_call_id: str
    tenant: TenantId = NO_TENANT
