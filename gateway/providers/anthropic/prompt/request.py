"""A step's request to the Messages API: what the AI SDK sends for the same conversation.

Source: @ai-sdk/anthropic 4.0.105, `anthropic-language-model.ts` (`prepareRequest`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from midstream.providers.anthropic.prompt.betas import body_betas
from midstream.providers.anthropic.prompt.messages import ModelConversation
from midstream.providers.anthropic.prompt.models import ClaudeTraits, model_traits
from midstream.providers.anthropic.prompt.reasoning import with_reasoning
from midstream.providers.anthropic.prompt.schema import constrained_schema, is_constrainable
from midstream.providers.anthropic.prompt.tools import RequestTools
from midstream.providers.anthropic.stream.citations import CitedDocument
from midstream.providers.anthropic.tool_names import ToolNames
from midstream.providers.conversation.messages import SystemMessage, model_messages

if TYPE_CHECKING:
    from midstream.providers.base import StepRequest

_SAMPLING: Final = {"temperature": "temperature", "top_k": "top_k", "top_p": "top_p"}


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
    conversation = ModelConversation(names, unsigned=unsigned_thinking)
    system = [SystemMessage(text=request.system)] if request.system is not None else []
    conversation.add([*system, *model_messages(request.messages)])
    schema = _response_schema(request)
    json_tool = schema is not None and not (traits.structured_output and is_constrainable(schema))

    body: dict[str, object] = {"model": request.model}
    body |= _limits(request, traits, options)
    if schema is not None and not json_tool:
        options["output_config"] = _output_config(schema, options.get("output_config"))
    if conversation.system:
        body["system"] = conversation.system
    body["messages"] = [msgspec.to_builtins(each) for each in conversation.messages]
    thinks_by_budget = _thinking_type(options) == "enabled"
    tools = RequestTools(
        forces=traits.forces_tools and not thinks_by_budget,
        constrains=traits.structured_output,
        marks=conversation.marks,
    )
    body |= tools.fields(request.tools, request.tool_choice, schema if json_tool else None)
    body["stream"] = True
    body |= options
    if _continues_thread(body):
        # Its first request said them, and they cannot be changed.
        body.pop("system", None)
        body.pop("tools", None)
    betas = conversation.betas | tools.betas | body_betas(body)
    betas.update(extra_betas if isinstance(extra_betas, list | tuple) else ())
    return AnthropicRequest(
        body=body,
        betas=sorted(betas),
        names=names,
        documents=conversation.documents,
        json_tool=json_tool,
    )


def _output_config(schema: dict[str, Any], given: object) -> dict[str, Any]:
    form = {"type": "json_schema", "schema": constrained_schema(schema)}
    return {"format": form, **(given if isinstance(given, dict) else {})}


def _response_schema(request: StepRequest) -> dict[str, Any] | None:
    wanted = request.parameters.get("response_format")
    if wanted is None:
        return None
    response_format = msgspec.convert(wanted, _ResponseFormat)
    return response_format.schema if response_format.type == "json" else None


def _thinking_type(options: Mapping[str, Any]) -> str | None:
    thinking = options.get("thinking")
    return thinking.get("type") if isinstance(thinking, dict) else None


def _continues_thread(body: Mapping[str, object]) -> bool:
    thread = body.get("thread")
    return isinstance(thread, dict) and thread.get("type") == "continue"


def _limits(
    request: StepRequest, traits: ClaudeTraits, options: Mapping[str, Any]
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
            if traits.known or "claude-" in request.model:
                fields.pop("top_p", None)  # Claude refuses both together; others may want both
    if stop := parameters.get("stop_sequences"):
        fields["stop_sequences"] = stop
    return fields


def _clamped(temperature: object) -> float:
    return min(max(msgspec.convert(temperature, float), 0.0), 1.0)


def sdk_prompt(request: StepRequest) -> dict[str, Any]:
    """Return the arguments of `messages.create` that say the conversation, and need no other."""
    built = build_request(request)
    prompt = {field: built.body[field] for field in ("system", "messages") if field in built.body}
    if built.betas:
        prompt["extra_headers"] = {"anthropic-beta": ",".join(built.betas)}
    return prompt
