"""A step as a Responses request: the body around its input.

Source: @ai-sdk/openai 4.0.118, `responses/openai-responses-language-model.ts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from midstream.providers.openai.models import model_traits
from midstream.providers.openai.options import drop_sampling, renamed
from midstream.providers.openai.schema import answer_schema
from midstream.providers.openai_responses.prompt.input_items import InputSettings, responses_input
from midstream.providers.openai_responses.prompt.tools import (
    DeclaredTools,
    request_tool_choice,
    request_tools,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from midstream.providers.base import StepRequest

_PARAMETERS: Final = {
    "max_output_tokens": "max_output_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
}
"""The AI SDK's names -> the API's. It takes no others."""


def is_stored(request: StepRequest) -> bool:
    """Whether the request asks expressly that the response be stored."""
    return request.provider_options.get("store") is True


def responses_request(request: StepRequest, *, plain: bool = False) -> bytes:
    """Return the body of `POST /responses` for a step, as JSON.

    Args:
        request: the step.
        plain: the server keeps nothing that could be referred to.
    """
    options = request.provider_options
    traits = model_traits(request.model)
    tools = DeclaredTools(request.tools)
    settings = InputSettings(
        tools=tools,
        system_role=traits.system_role,
        reasons=traits.reasons,
        store=options.get("store") is not False,
        in_conversation=options.get("conversation") is not None,
        after_response=options.get("previous_response_id") is not None,
        plain=plain,
    )
    body: dict[str, object] = {
        "model": request.model,
        "input": responses_input(request, settings),
        **renamed(request.parameters, _PARAMETERS),
        "stream": True,
    }
    effort = traits.effort(request.parameters.get("reasoning"))
    if effort is not None and traits.reasons:
        body["reasoning"] = {"effort": effort}
        if effort != "none":
            body["reasoning"] = {"effort": effort, "summary": "detailed"}
    if request.tools:
        body["tools"] = request_tools(request.tools)
        body["tool_choice"] = request_tool_choice(request.tool_choice, tools)
    body |= options
    if (asked := answer_schema(request.parameters)) is not None:
        kind, fields = asked
        given = options.get("text")
        text = {"format": {"type": kind, **fields}}
        body["text"] = text | given if isinstance(given, dict) else text
    if include := [*_listed(options.get("include")), *_includes(request, settings)]:
        body["include"] = list(dict.fromkeys(include))
    reasoning = body.get("reasoning")
    drop_sampling(body, traits, reasoning.get("effort") if isinstance(reasoning, dict) else None)
    return msgspec.json.encode(body)


def sdk_prompt(request: StepRequest) -> dict[str, Any]:
    """Return the argument of `responses.create` that says the conversation."""
    return {"input": msgspec.json.decode(responses_request(request))["input"]}


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def _includes(request: StepRequest, settings: InputSettings) -> Iterator[str]:
    """Yield what the answer must hold for its chunks, and for the next request."""
    kinds = {tool.provider_type for tool in request.tools}
    if kinds & {"web_search", "web_search_preview"}:
        yield "web_search_call.action.sources"
    if "code_interpreter" in kinds:
        yield "code_interpreter_call.outputs"
    if not settings.store and settings.reasons:
        yield "reasoning.encrypted_content"
