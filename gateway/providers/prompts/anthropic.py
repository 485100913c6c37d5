"""A step's request to the Messages API: what the AI SDK sends for the same conversation.

Source: @ai-sdk/anthropic 4.0.105, `anthropic-language-model.ts` (`getArgs`) and
`anthropic-prepare-tools.ts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from gateway.providers.anthropic_tools import TOOL_BETAS, ToolNames, api_name, api_type
from gateway.providers.prompts.anthropic_messages import Conversation
from gateway.providers.prompts.anthropic_models import ModelTraits, model_traits
from gateway.providers.prompts.anthropic_reasoning import with_reasoning
from gateway.providers.prompts.anthropic_schema import constrained_schema, is_constrainable
from gateway.providers.prompts.model_messages import SystemMessage, model_messages
from gateway.providers.translate.anthropic import JSON_TOOL
from gateway.providers.translate.anthropic_citations import CitedDocument

if TYPE_CHECKING:
    from gateway.providers.base import StepRequest, ToolSpec

_SAMPLING: Final = {"temperature": "temperature", "top_k": "top_k", "top_p": "top_p"}
_STRUCTURED_BETA: Final = "structured-outputs-2025-11-13"

_OPTION_BETAS: Final = {
    "mcp_servers": "mcp-client-2025-04-04",
    "context_management": "context-management-2025-06-27",
    "compaction": "compact-2026-09-04",
    "safeguards": "dangerous-tool-use-2026-09-03",
}
"""A field of the body -> the beta that it needs."""


class AnthropicRequest(Struct, frozen=True, kw_only=True):
    """A request, and what its answer's translator must know of it.

    Attributes:
        body: of `POST /v1/messages`.
        betas: for the `anthropic-beta` header, sorted.
        documents: the files that citations point at by index.
        json_tool: whether the answer is asked for by a tool (see `AnthropicTranslator`).
    """

    body: Mapping[str, object]
    betas: Sequence[str]
    names: ToolNames
    documents: Sequence[CitedDocument]
    json_tool: bool


class _ResponseFormat(Struct):
    type: str = "text"
    schema: dict[str, Any] | None = None


def build_request(request: StepRequest, *, unsigned_thinking: bool = False) -> AnthropicRequest:
    """Build the request of one step.

    `request.provider_options` are merged over the body, but for `anthropic_beta`, a list of
    more betas.

    Args:
        request: the step.
        unsigned_thinking: the server signs no thoughts, and wants them back all the same.
    """
    traits = model_traits(request.model)
    names = ToolNames(request.tools)
    options = with_reasoning(request.provider_options, request.parameters.get("reasoning"), traits)
    extra_betas = options.pop("anthropic_beta", ())
    conversation = Conversation(names, unsigned=unsigned_thinking)
    system = [SystemMessage(text=request.system)] if request.system is not None else []
    conversation.add([*system, *model_messages(request.messages)])
    schema = _response_schema(request)
    json_tool = schema is not None and not (traits.structured_output and is_constrainable(schema))

    body: dict[str, object] = {"model": request.model}
    body |= _limits(request, traits, options)
    if schema is not None and not json_tool:
        form = {"type": "json_schema", "schema": constrained_schema(schema)}
        given = options.get("output_config")
        options["output_config"] = {"format": form, **(given if isinstance(given, dict) else {})}
    if conversation.system:
        body["system"] = conversation.system
    body["messages"] = [msgspec.to_builtins(each) for each in conversation.messages]
    thinks_by_budget = _thinking_type(options) == "enabled"
    body |= _tools(
        request,
        schema if json_tool else None,
        forces=traits.forces_tools and not thinks_by_budget,
    )
    body["stream"] = True
    body |= options
    constrains = traits.structured_output and not json_tool
    betas = conversation.betas | _tool_betas(request.tools, constrains=constrains)
    betas |= {beta for field, beta in _OPTION_BETAS.items() if options.get(field)}
    betas.update(extra_betas if isinstance(extra_betas, list | tuple) else ())
    return AnthropicRequest(
        body=body,
        betas=sorted(betas),
        names=names,
        documents=conversation.documents,
        json_tool=json_tool,
    )


def _response_schema(request: StepRequest) -> dict[str, Any] | None:
    wanted = request.parameters.get("response_format")
    if wanted is None:
        return None
    response_format = msgspec.convert(wanted, _ResponseFormat)
    return response_format.schema if response_format.type == "json" else None


def _thinking_type(options: Mapping[str, Any]) -> str | None:
    thinking = options.get("thinking")
    return thinking.get("type") if isinstance(thinking, dict) else None


def _limits(
    request: StepRequest, traits: ModelTraits, options: Mapping[str, Any]
) -> dict[str, object]:
    """Return `max_tokens`, sampling and stop sequences, as the model takes them."""
    parameters = request.parameters
    thinking = _thinking_type(options)
    limit: Any = parameters.get("max_output_tokens") or traits.max_output_tokens
    if thinking == "enabled":
        # The budget counts towards the API's limit, but not towards the answer's.
        limit += options["thinking"].get("budget_tokens", 0)
    if traits.known:
        limit = min(limit, traits.max_output_tokens)
    fields: dict[str, object] = {"max_tokens": limit}
    if traits.samples and thinking in (None, "disabled"):
        fields |= {api: parameters[ours] for ours, api in _SAMPLING.items() if ours in parameters}
        if "temperature" in fields:
            fields["temperature"] = _clamped(fields["temperature"])
            fields.pop("top_p", None)  # these models refuse both together
    if stop := parameters.get("stop_sequences"):
        fields["stop_sequences"] = stop
    return fields


def _clamped(temperature: object) -> float:
    return min(max(msgspec.convert(temperature, float), 0.0), 1.0)


def _tools(
    request: StepRequest, answer_schema: Mapping[str, Any] | None, *, forces: bool
) -> dict[str, object]:
    """Return `tools` and `tool_choice`; the JSON tool is the last, and must be called."""
    choice = request.tool_choice
    named = choice if choice not in (None, "auto", "required", "none") else None
    declared = list(request.tools)
    if named is not None and (answer_schema is not None or not forces):
        declared = [tool for tool in declared if tool.name == named]
    if choice == "none" and answer_schema is not None:
        declared = []
    tools = [_tool(tool) for tool in declared]
    if answer_schema is not None:
        tools.append(
            {
                "name": JSON_TOOL,
                "description": "Respond with a JSON object.",
                "input_schema": answer_schema,
                "eager_input_streaming": True,
            }
        )
        kind = "any" if forces else "auto"
        return {"tools": tools, "tool_choice": {"type": kind, "disable_parallel_tool_use": True}}
    if not tools:
        return {}
    if named is not None and forces:
        return {"tools": tools, "tool_choice": {"type": "tool", "name": named}}
    kind = {"required": "any" if forces else "auto", "none": "none"}.get(choice or "", "auto")
    return {"tools": tools, "tool_choice": {"type": kind}}


def _tool(tool: ToolSpec) -> dict[str, object]:
    if tool.provider_type is None:
        description = {"description": tool.description} if tool.description else {}
        return {
            "name": tool.name,
            **description,
            "input_schema": msgspec.json.decode(tool.input_schema),
            "eager_input_streaming": True,
        }
    kind = api_type(tool.provider_type)
    arguments = {} if tool.provider_args is None else msgspec.json.decode(tool.provider_args)
    if "_toolset_" in kind:  # its members have the names
        return {"type": kind, **arguments}
    return {"type": kind, "name": api_name(kind), **arguments}


def _tool_betas(tools: Sequence[ToolSpec], *, constrains: bool) -> set[str]:
    betas = {
        TOOL_BETAS[kind]
        for tool in tools
        if tool.provider_type and (kind := api_type(tool.provider_type)) in TOOL_BETAS
    }
    if constrains and any(tool.provider_type is None for tool in tools):
        betas.add(_STRUCTURED_BETA)
    return betas
