"""The AI SDK as an oracle: runs a case in the AI SDK and here, and makes the results comparable.

`node/oracle.mjs` describes a case. To add a provider, add an entry to `PROVIDERS` here and to
`providers` in `node/providers.mjs`.
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from midstream.protocol.codec import encode
from midstream.protocol.messages import UIMessage
from midstream.protocol.sse import SseDecoder
from midstream.providers.anthropic.prompt.request import build_request
from midstream.providers.anthropic.stream.translator import AnthropicTranslator
from midstream.providers.anthropic.tool_names import ToolNames
from midstream.providers.base import StepRequest, ToolOptions, ToolSpec
from midstream.providers.conversation.tool_calls import ToolCalls, declared_calls
from midstream.providers.openai_chat.compatible.dialect import Dialect
from midstream.providers.openai_chat.compatible.prompt import compatible_request
from midstream.providers.openai_chat.compatible.translator import OpenAICompatibleTranslator
from midstream.providers.openai_chat.prompt import chat_request
from midstream.providers.openai_chat.translator import OpenAIChatTranslator
from midstream.providers.openai_responses.prompt.request import responses_request
from midstream.providers.openai_responses.prompt.tools import tooling
from midstream.providers.openai_responses.stream.translator import OpenAIResponsesTranslator
from midstream.providers.part_ids import PartIds
from tests.conformance.deviations import deviates
from tests.support.processes import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from midstream.protocol.chunks import AnyChunk
    from midstream.providers.base import StepResult, Translator
    from tests.support.node_program import NodeProgram

Json = dict[str, Any]

SHARED_CORPUS: Final = REPOSITORY.parent / "shared" / "aisdk"
"""Recordings of the providers' real APIs, if they are beside the repository."""

OPTIONS: Final = {
    "store": "store",
    "conversation": "conversation",
    "previousResponseId": "previous_response_id",
}
"""The AI SDK's option -> its name in OpenAI's API."""

ACME: Final = Dialect(name="acme")
"""A compatible server, with its name in `node/providers.mjs`."""

_DELTAS: Final = {
    "text-delta": ("id", "delta"),
    "reasoning-delta": ("id", "delta"),
    "tool-input-delta": ("toolCallId", "inputTextDelta"),
}
_ENVELOPE: Final = {"start", "finish-step", "finish", "abort"}


class AiSdk:
    """The AI SDK, in one process of Node; see `node/oracle.mjs`."""

    def __init__(self, program: NodeProgram) -> None:
        self._program = program

    def requests(self, cases: Iterable[Mapping[str, Any]]) -> list[Json]:
        """Return its request in each case: `body` and `betas`, or only `@error`."""
        return self._program.ask_all({"ask": "request", **case} for case in cases)

    def streams(self, cases: Iterable[Mapping[str, Any]]) -> list[Json]:
        """Return its result for each case's events: `chunks`, `finishReason`, `usage` …."""
        return self._program.ask_all({"ask": "stream", **case} for case in cases)

    def run(self, provider: str, url: str, prompt: str, **options: object) -> list[Json]:
        """Return the chunks that a route sends for a prompt; see `node/whole_run.mjs`."""
        case = {"provider": provider, "url": url, "prompt": prompt, **options}
        chunks: list[Json] = self._program.ask({"ask": "run", **case})
        return chunks

    def steer(self, **case: object) -> Json:
        """Return what becomes of a message for the running answer; see `node/steered_run.mjs`."""
        answer: Json = self._program.ask({"ask": "steer", **case})
        return answer


@dataclass(frozen=True)
class Provider:
    """The parts of the oracle for one provider.

    Attributes:
        model: the model of a case that names none.
        translator: makes our translator, for a case's tools and settings.
        request: makes our request: `body` and `betas`.
    """

    model: str
    translator: Callable[[list[ToolSpec], Mapping[str, Any], bool], Translator]
    request: Callable[[StepRequest], Json]


def ids() -> Callable[[], str]:
    """Return a function that makes ids which no provider makes."""
    numbers = itertools.count()
    return lambda: f"made-up-{next(numbers)}"


def _anthropic(specs: list[ToolSpec], case: Mapping[str, Any], full: bool) -> Translator:
    return AnthropicTranslator(
        names=ToolNames(specs),
        calls=ToolCalls(spec.name for spec in specs),
        new_id=ids(),
        part_ids=PartIds(),
        json_tool="responseSchema" in case,
        send_sources=full,
    )


def _responses(specs: list[ToolSpec], case: Mapping[str, Any], full: bool) -> Translator:
    return OpenAIResponsesTranslator(
        declared_calls(specs),
        new_id=ids(),
        tooling=tooling(specs),
        stored=case.get("providerOptions", {}).get("openai", {}).get("store") is True,
        send_sources=full,
    )


def _chat(specs: list[ToolSpec], _: Mapping[str, Any], full: bool) -> Translator:
    return OpenAIChatTranslator(declared_calls(specs), new_id=ids(), send_sources=full)


def _compatible(specs: list[ToolSpec], _: Mapping[str, Any], full: bool) -> Translator:
    return OpenAICompatibleTranslator(
        declared_calls(specs), new_id=ids(), name=ACME.name, send_sources=full
    )


def _anthropic_request(request: StepRequest) -> Json:
    made = build_request(request)
    return {"body": json.loads(json.dumps(made.body)), "betas": list(made.betas)}


def _openai_request(body: Callable[[StepRequest], bytes]) -> Callable[[StepRequest], Json]:
    return lambda request: {"body": json.loads(body(request)), "betas": []}


PROVIDERS: Final = {
    "anthropic": Provider("claude-sonnet-4-5", _anthropic, _anthropic_request),
    "openai-responses": Provider("gpt-4o", _responses, _openai_request(responses_request)),
    "openai-chat": Provider("gpt-4o", _chat, _openai_request(chat_request)),
    "openai-compatible": Provider(
        "acme-1", _compatible, _openai_request(lambda step: compatible_request(step, ACME))
    ),
}


def events_of(file: Path) -> list[bytes]:
    """Return a recording's events: `.sse` as on the wire, else one JSON a line."""
    data = file.read_bytes()
    if file.suffix == ".sse":
        return [event.data for event in SseDecoder().receive_data(data)]
    return [line for line in data.splitlines() if line.strip()]


def as_bytes(events: Iterable[Any]) -> list[bytes]:
    """Return a case's events as they are sent; a text is an event that is not JSON."""
    return [
        event.encode() if isinstance(event, str) else json.dumps(event).encode() for event in events
    ]


def snake(name: str) -> str:
    """Return a name in an API's spelling."""
    return re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


def snake_case(value: Any) -> Any:
    """Return settings or arguments with all names in an API's spelling."""
    if not isinstance(value, dict):
        return value
    return {snake(key): snake_case(each) for key, each in value.items()}


def tool_specs(declarations: Iterable[Mapping[str, Any]]) -> list[ToolSpec]:
    """Read tools as the AI SDK declares them."""
    return [
        ToolSpec(
            name=tool["name"],
            description=tool.get("description", ""),
            input_schema=msgspec.Raw(msgspec.json.encode(tool["inputSchema"])),
            options=_tool_options(tool),
        )
        if tool["type"] == "function"
        else ToolSpec(
            name=tool["name"],
            provider_type=tool["id"].partition(".")[2],
            provider_args=msgspec.Raw(msgspec.json.encode(_arguments(tool.get("args", {})))),
        )
        for tool in declarations
    ]


def _tool_options(tool: Mapping[str, Any]) -> ToolOptions:
    examples = tool.get("inputExamples")
    said = [snake_case(given) for given in tool.get("providerOptions", {}).values()]
    return ToolOptions(
        strict=tool.get("strict"),
        input_examples=examples and [example["input"] for example in examples],
        **(said[0] if said else {}),
    )


def _arguments(arguments: Mapping[str, Any]) -> Any:
    spelt = snake_case(arguments)
    if environment := spelt.get("environment"):
        # Its kinds are names too.
        spelt["environment"] = {name: snake(value) for name, value in environment.items()}
    return spelt


def translate(
    provider: str, events: Iterable[bytes], case: Mapping[str, Any], *, full: bool = True
) -> tuple[list[Json], StepResult]:
    """Run a case's events through our translator, up to a failure; chunks as JSON objects.

    Args:
        full: with sources, for a comparison with an AI SDK that sends them.
    """
    specs = tool_specs(case.get("tools", ()))
    translator = PROVIDERS[provider].translator(specs, case, full)
    chunks: list[AnyChunk] = []
    for event in events:
        chunks += translator.receive(event)
        if translator.result.failure is not None:
            break
    else:
        chunks += translator.receive_eof()
    return [json.loads(encode(chunk)) for chunk in chunks], translator.result


def step_request(provider: str, case: Mapping[str, Any]) -> StepRequest:
    """Read a case as a step's request."""
    parameters = snake_case(case.get("settings", {}))
    if schema := case.get("responseSchema"):
        with_schema = {} if schema is True else {"schema": schema}
        parameters["response_format"] = {"type": "json", **with_schema}
    options = {api: case[name] for name, api in OPTIONS.items() if name in case}
    return StepRequest(
        model=case.get("model", PROVIDERS[provider].model),
        messages=[UIMessage.parse(msgspec.json.encode(message)) for message in case["messages"]],
        system=case.get("system"),
        tools=tool_specs(case.get("tools", ())),
        tool_choice=case.get("toolChoice"),
        parameters=parameters,
        provider_options={**options, **case.get("body", {})},
        new_id=str,
    )


def our_request(provider: str, case: Mapping[str, Any]) -> Json:
    """Return our request in a case: `body` and `betas`."""
    return PROVIDERS[provider].request(step_request(provider, case))


@deviates("denied-hosted-calls")
def without_orphans(request: Json) -> Json:
    """Remove outputs whose calls are not in the request; the API refuses them."""
    body = request.get("body", {})
    if "input" not in body:
        return request
    called = {item["call_id"] for item in body["input"] if item.get("type") == "function_call"}
    kept = [
        item
        for item in body["input"]
        if item.get("type") != "function_call_output" or item["call_id"] in called
    ]
    return {**request, "body": {**body, "input": kept}}


def comparable(chunks: Iterable[Json], events: Iterable[bytes] = ()) -> list[Json]:
    """Merge deltas, drop the run's envelope, and number the generated ids.

    Args:
        events: the provider's events; their ids are not generated.
    """
    kept: list[Json] = []
    for chunk in chunks:
        if chunk.get("type") in (None, *_ENVELOPE):
            continue
        named, text = _DELTAS.get(chunk["type"], ("", ""))
        last = kept[-1] if kept else {}
        if (
            text
            and "providerMetadata" not in chunk
            and "providerMetadata" not in last
            and (last.get("type"), last.get(named)) == (chunk["type"], chunk[named])
        ):
            last[text] += chunk[text]
        else:
            kept.append(dict(chunk))
    sent, made_up = b"\n".join(events).decode(), dict[str, str]()
    for chunk in kept:
        for key in _IDS:
            if key in chunk and _MADE_UP.match(chunk[key]) and chunk[key] not in sent:
                chunk[key] = made_up.setdefault(chunk[key], f"made up {len(made_up)}")
        if chunk["type"] == "tool-input-error":
            deviates("parser-words")
            # The text after this is the JSON parser's own, and the text before is JavaScript's.
            words = chunk["errorText"].partition("\nError message:")[0]
            chunk["errorText"] = words.replace("AI_JSONParseError: ", "")
    return kept


_IDS: Final = ("id", "sourceId", "toolCallId", "approvalId")
_MADE_UP: Final = re.compile(r"(made-up|gen|aitxt)-|[A-Za-z0-9]{16}(_\d)?$")
"""Ids generated here or by the AI SDK; calls inside a wrapper are numbered."""
