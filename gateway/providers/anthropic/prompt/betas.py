"""Betas that a request to Anthropic needs for its fields, and the fate of all others.

A beta is a header's word that opens a field, a tool or an endpoint. What a field of the body
needs is sent with it; any other is the agent's to name, `provider_options.anthropic_beta`.

Source: anthropic 2.12.0, `types/anthropic_beta_param.py` and the differences between its `Beta…`
and plain parameters; @ai-sdk/anthropic 4.0.105, `anthropic-language-model.ts`
(`prepareRequest`). Deviation: any `speed` has its beta, because some models want it for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

_Body = Mapping[str, Any]


def body_betas(body: _Body) -> set[str]:
    """Return the betas that a request's fields need."""
    return {beta for beta, needs in FIELD_BETAS.items() if needs(body)}


def _in(body: _Body, *path: str) -> Any:
    """Return what is at a path of objects, None if it is not there."""
    value: Any = body
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _has(*path: str) -> Callable[[_Body], bool]:
    return lambda body: bool(_in(body, *path))


def _has_kind(kind: str, *path: str) -> Callable[[_Body], bool]:
    """Look for an object of a type in a list."""

    def needs(body: _Body) -> bool:
        items = _in(body, *path)
        return isinstance(items, list | tuple) and any(_in(item, "type") == kind for item in items)

    return needs


_uses_mcp_toolset: Final = _has_kind("mcp_toolset", "tools")

FIELD_BETAS: Final[Mapping[str, Callable[[_Body], bool]]] = {
    "mcp-client-2025-04-04": lambda body: (
        bool(body.get("mcp_servers")) and not _uses_mcp_toolset(body)
    ),
    # Requests that choose the tools of a server among the tools, and not with the server.
    "mcp-client-2025-11-20": _uses_mcp_toolset,
    "dangerous-tool-use-2026-09-03": _has("safeguards"),
    "compact-2026-09-04": _has("compaction"),
    "context-management-2025-06-27": _has("context_management"),
    "compact-2026-01-12": _has_kind("compact_20260112", "context_management", "edits"),
    "code-execution-2025-08-25": _has("container", "skills"),
    "skills-2025-10-02": _has("container", "skills"),
    "files-api-2025-04-14": _has("container", "skills"),
    "task-budgets-2026-03-13": _has("output_config", "task_budget"),
    "fast-mode-2026-02-01": _has("speed"),
    "thinking-display-updates-2026-08-18": lambda body: (
        _in(body, "thinking", "display") == "updates"
    ),
    "thinking-binding-controls-2026-08-01": _has("thinking", "block_binding"),
    "server-side-fallback-2026-07-01": lambda body: body.get("fallbacks") == "default",
    "server-side-fallback-2026-06-01": lambda body: (
        bool(body.get("fallbacks")) and body.get("fallbacks") != "default"
    ),
    "fallback-credit-2026-07-01": _has("fallback_credit_token"),
    "message-threads-2026-08-12": _has("thread"),
    "user-profiles-billing-2026-10-01": _has("billing_policy"),
}
"""A beta -> whether a body needs it."""

CONTENT_BETAS: Final = frozenset(
    {
        *("compact-2026-09-04", "files-api-2025-04-14", "pdfs-2024-09-25"),
        *("mid-conversation-system-2026-04-07", "server-side-fallback-2026-06-01"),
    }
)
"""Betas that the history may need; see `ModelConversation`."""

CHOSEN_BETAS: Final = frozenset(
    {
        # Of the model's answers, and of what it reads.
        *("output-128k-2025-02-19", "output-300k-2026-03-24", "context-1m-2025-08-07"),
        *("dev-full-thinking-2025-05-14", "interleaved-thinking-2025-05-14"),
        *("model-context-window-exceeded-2025-08-26", "thinking-token-count-2026-05-13"),
        "token-efficient-tools-2025-02-19",
        # Generally available: fields that need no header any more, or older forms.
        *("prompt-caching-2024-07-31", "extended-cache-ttl-2025-04-11"),
        *("cache-diagnosis-2026-04-07", "fallback-credit-2026-06-01"),
        # Content that only a body of the agent's own holds.
        *("mid-conversation-tool-changes-2026-07-01", "inline-tools-2026-09-15"),
        *("mid-conversation-output-config-2026-07-01", "mcp-client-2026-09-15"),
        "mid-conversation-system-clear-at-2026-08-21",
        # Headers of a customer's.
        *("user-profiles-2026-03-24", "user-profiles-2026-08-18", "user-profiles-2026-09-04"),
    }
)
"""Betas that no field of our bodies needs: an agent that wants one names it."""

OTHER_ENDPOINTS: Final = frozenset(
    {
        *("managed-agents-2026-04-01", "dreaming-2026-04-21", "agent-memory-2026-07-22"),
        *("mcp-tunnels-2026-06-22", "ce-plugins-2026-09-01", "spend-limit-reads-2026-09-26"),
        *("telemetry-destinations-2026-08-11", "webhooks-2026-10-07"),
        *("admin-user-sign-out-2026-10-08", "analytics-usage-cost-2026-08-24"),
        *("experimental-claude-tag-2026-10-21", "message-batches-2024-09-24"),
        *("token-counting-2024-11-01", "ce-user-management-2026-07-13"),
        "ce-claude-code-managed-settings-2026-10-06",
    }
)
"""Betas of other APIs than Messages."""
