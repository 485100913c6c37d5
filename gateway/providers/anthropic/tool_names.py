"""Anthropic's own tools: their names on both sides, and what a request must say for them.

A provider's tool has a name of its own at the API (`web_search`) and the one that it was
declared with, which is what clients see.

Source: @ai-sdk/anthropic 4.0.105, `anthropic-language-model.ts` and
`anthropic-prepare-tools.ts`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.providers.base import ToolSpec

_PREFIX: Final = "anthropic."
"""Before a type, in the AI SDK's ids of tools."""

_VERSION: Final = re.compile(r"_\d{8}$")

# The AI SDK's ids that are not the API's type.
_API_TYPES: Final = {
    "tool_search_regex_20251119": "tool_search_tool_regex_20251119",
    "tool_search_bm25_20251119": "tool_search_tool_bm25_20251119",
}

# The API's names that are not the type without its version.
_API_NAMES: Final = {
    "computer_toolset_20260801": "computer",
    "text_editor_20241022": "str_replace_editor",
    "text_editor_20250124": "str_replace_editor",
    "text_editor_20250429": "str_replace_based_edit_tool",
    "text_editor_20250728": "str_replace_based_edit_tool",
}

TOOL_BETAS: Final = {
    "code_execution_20250522": "code-execution-2025-05-22",
    "code_execution_20250825": "code-execution-2025-08-25",
    "computer_20241022": "computer-use-2024-10-22",
    "computer_20250124": "computer-use-2025-01-24",
    "computer_20251124": "computer-use-2025-11-24",
    "text_editor_20241022": "computer-use-2024-10-22",
    "text_editor_20250124": "computer-use-2025-01-24",
    "text_editor_20250429": "computer-use-2025-01-24",
    "bash_20241022": "computer-use-2024-10-22",
    "bash_20250124": "computer-use-2025-01-24",
    "memory_20250818": "context-management-2025-06-27",
    "web_fetch_20250910": "web-fetch-2025-09-10",
    "web_fetch_20260209": "code-execution-web-tools-2026-02-09",
    "web_search_20260209": "code-execution-web-tools-2026-02-09",
    "advisor_20260301": "advisor-tool-2026-03-01",
}
"""The beta that a tool's type needs, for the `anthropic-beta` header."""

# Web tools that filter with code that the model writes, whether code_execution is declared
# or not.
_WRITES_CODE: Final = {
    "web_fetch_20260209",
    "web_fetch_20260318",
    "web_search_20260209",
    "web_search_20260318",
}


_DEFERRING: Final = (
    *("web_search_20250305", "web_search_20260209", "web_search_20260318"),
    *("web_fetch_20250910", "web_fetch_20260209", "web_fetch_20260318"),
    *("code_execution_20250825", "code_execution_20260120", "advisor_20260301"),
    *("tool_search_regex_20251119", "tool_search_tool_regex_20251119"),
    *("tool_search_bm25_20251119", "tool_search_tool_bm25_20251119"),
)
DEFERRING: Final = frozenset((*_DEFERRING, *(f"{_PREFIX}{kind}" for kind in _DEFERRING)))
"""Types of tools that may leave a call's result to the next response: `supportsDeferredResults`."""


def api_type(provider_type: str) -> str:
    """Return the API's type of a tool, from that or from the AI SDK's id of it."""
    bare = provider_type.removeprefix(_PREFIX)
    return _API_TYPES.get(bare, bare)


def api_name(provider_type: str) -> str:
    """Return the API's name of a tool of this type."""
    kind = api_type(provider_type)
    return _API_NAMES.get(kind) or _VERSION.sub("", kind)


class ToolNames:
    """The names of the declared provider tools.

    Attributes:
        code_is_implied: a web tool was declared that writes code, and code_execution was
            not: its calls are dynamic.
        toolsets: declared name -> API name of toolsets, whose members are called by name.
    """

    def __init__(self, tools: Sequence[ToolSpec]) -> None:
        """Look at a request's tools."""
        own = {tool.name: api_type(tool.provider_type) for tool in tools if tool.provider_type}
        self._to_api = {name: api_name(kind) for name, kind in own.items()}
        self._to_client = {api: name for name, api in self._to_api.items()}
        types = set(own.values())
        self.code_is_implied = bool(types & _WRITES_CODE) and not any(
            kind.startswith("code_execution_") for kind in types
        )
        self.toolsets = {name: api_name(kind) for name, kind in own.items() if "_toolset_" in kind}

    def to_client(self, name: str) -> str:
        """Return the declared name of a tool that the API names."""
        return self._to_client.get(name, name)

    def to_api(self, name: str) -> str:
        """Return the API's name of a declared tool."""
        return self._to_api.get(name, name)
