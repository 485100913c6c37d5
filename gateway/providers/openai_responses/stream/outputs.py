"""Inputs and outputs of the provider's tools, from the API's spelling to the AI SDK's.

Each function returns plain data to be written as JSON: the shapes that the tools of
@ai-sdk/openai 4.0.118 (`src/tool/*.ts`) declare.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import UNSET, Raw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from midstream.providers.openai_responses.stream import events as wire

Json = dict[str, object]

ABSENT: Final = (Raw(), Raw(b"null"))
"""JSON that was not there, or was null."""

_CAMEL: Final = {"scroll_x": "scrollX", "scroll_y": "scrollY"}

_ACTION_FIELDS: Final[dict[bytes, tuple[str, ...]]] = {
    b'"click"': ("type", "button", "x", "y", "keys"),
    b'"double_click"': ("type", "x", "y", "keys"),
    b'"drag"': ("type", "path", "keys"),
    b'"keypress"': ("type", "keys"),
    b'"move"': ("type", "x", "y", "keys"),
    b'"screenshot"': ("type",),
    b'"scroll"': ("type", "x", "y", "scroll_x", "scroll_y", "keys"),
    b'"type"': ("type", "text"),
    b'"wait"': ("type",),
}
"""Fields of a computer action, by its type as JSON. Nulls are left out."""


def computer_input(item: wire.ComputerCall) -> Json:
    """A computer call: one action or several."""
    actions = item.actions
    if actions is None:
        actions = [] if item.action is None else [item.action]
    return {
        "actions": [_computer_action(action) for action in actions],
        "pendingSafetyChecks": item.pending_safety_checks or [],
        "status": item.status,
    }


def _computer_action(action: Mapping[str, Raw]) -> Json:
    fields = _ACTION_FIELDS.get(bytes(action.get("type", b"")), tuple(action))
    return {
        _CAMEL.get(name, name): action[name]
        for name in fields
        if name in action and action[name] not in ABSENT
    }


def local_shell_input(item: wire.LocalShellCall) -> Json:
    """A command for the client's shell."""
    action = item.action
    return {
        "action": _present(
            type="exec",
            command=action.command,
            timeoutMs=action.timeout_ms,
            user=action.user,
            workingDirectory=action.working_directory,
            env=action.env,
        )
    }


def shell_input(item: wire.ShellCall) -> Json:
    """Commands for a shell."""
    action = item.action
    return {
        "action": _present(
            commands=action.commands,
            timeoutMs=action.timeout_ms,
            maxOutputLength=action.max_output_length,
        )
    }


def shell_output(item: wire.ShellCallOutput) -> Json:
    """Output of the provider's shell."""
    return _present(
        maxOutputLength=item.max_output_length,
        output=[
            {
                "stdout": each.stdout,
                "stderr": each.stderr,
                "outcome": {"type": "exit", "exitCode": each.outcome.exit_code}
                if each.outcome.type == "exit"
                else {"type": "timeout"},
            }
            for each in item.output
        ],
    )


def web_search_output(item: wire.WebSearchCall) -> Json:
    """Action of a web search, and its sources."""
    action = item.action
    if action is None:
        return {}
    if action.type == "search":
        done = _present(type="search", query=action.query, queries=action.queries)
        return _present(action=done, sources=action.sources)
    if action.type == "open_page":
        return {"action": _set(type="openPage", url=action.url)}
    if action.type == "find_in_page":
        return {"action": _set(type="findInPage", url=action.url, pattern=action.pattern)}
    return {}


def file_search_output(item: wire.FileSearchCall) -> Json:
    """Queries of a file search and its findings; `results` is null unless they were included."""
    if item.results is None:
        return {"queries": item.queries, "results": None}
    results: list[Json] = [
        {
            "attributes": result.attributes,
            "fileId": result.file_id,
            "filename": result.filename,
            "score": result.score,
            "text": result.text,
        }
        for result in item.results
    ]
    return {
        "queries": item.queries,
        "results": [_present(**result) for result in results],
    }


def mcp_output(item: wire.McpCall) -> Json:
    """Output of a remote tool; its failure is an output, too."""
    return _present(
        type="call",
        serverLabel=item.server_label,
        name=item.name,
        arguments=item.arguments,
        output=item.output,
        error=item.error,
    )


def tool_search_input(arguments: Raw, call_id: str | None) -> Json:
    """A search for tools; `call_id` is null when the provider searches."""
    return _set(arguments=arguments if bytes(arguments) else UNSET, call_id=call_id)


def _present(**fields: object) -> Json:
    """Return the fields that are there: neither absent nor null."""
    return {k: v for k, v in fields.items() if v is not None and v not in ABSENT}


def _set(**fields: object) -> Json:
    """Return the fields that are there; a null stays a null."""
    return {k: v for k, v in fields.items() if v is not UNSET}
