"""`[agents.NAME]`: models with instructions and tools, functions, and backends."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (msgspec reads the annotations)
from typing import Annotated, Literal

from msgspec import Meta

from midstream.settings.fields import Bytes, Count, OnActive, Seconds, Section, Text


class ToolOptionSettings(Section, frozen=True, kw_only=True):
    """Options of one of `tools` in the provider's API, `[agents.NAME.tool_options.TOOL]`.

    Unset: the function's own `tool_options`, else the API's default.
    """

    strict: Annotated[
        bool | None,
        Meta(description="Constrain the model's input to the schema while it is generated."),
    ] = None
    defer_loading: Annotated[
        bool | None,
        Meta(
            description="Load the tool through the provider's tool search, instead of naming it to "
            "the model from the start."
        ),
    ] = None
    allowed_callers: Annotated[
        tuple[Text, ...] | None,
        Meta(
            description="Who may call it: `direct`, or code that the model writes "
            "(`code_execution_20260120` of Anthropic, `programmatic` of OpenAI)."
        ),
    ] = None
    input_examples: Annotated[
        tuple[Mapping[str, object], ...] | None,
        Meta(description="Examples of inputs, for the model (Anthropic)."),
    ] = None
    cache_control: Annotated[
        Mapping[str, object] | None,
        Meta(
            description="Cache the prompt up to and with this tool (Anthropic): "
            '`{ type = "ephemeral" }`.'
        ),
    ] = None
    eager_input_streaming: Annotated[
        bool | None,
        Meta(
            description="Send a call's input while it is written (Anthropic); on unless it is "
            "`false`."
        ),
    ] = None


class ClientToolSettings(ToolOptionSettings, frozen=True, kw_only=True):
    """A tool that the client executes, `[agents.NAME.client_tools.TOOL]`.

    The run ends with its call; the client's answer continues the message.
    """

    description: Annotated[str, Meta(description="Description for the model.")] = ""
    input_schema: Annotated[
        Mapping[str, object],
        Meta(description="JSON Schema of its input, an object. Empty: it takes none."),
    ] = {}


class ProviderToolSettings(Section, frozen=True, kw_only=True):
    """A tool of the provider's own, `[agents.NAME.provider_tools.TOOL]`."""

    type: Annotated[
        Text, Meta(description="Its type in the provider's API: `web_search_20250305`, …")
    ]
    args: Annotated[
        Mapping[str, object], Meta(description="Its arguments, in the provider's own spelling.")
    ] = {}


class AgentSettings(Section, frozen=True, kw_only=True):
    """An agent, `[agents.NAME]`: a model with its instructions, or code of yours.

    Without any, there are simulated ones, and one for each provider whose key is set.
    """

    provider: Annotated[str, Meta(description="Name of a `[providers.NAME]`, or `simulator`.")] = ""
    model: Annotated[str, Meta(description="The model that answers, as the provider names it.")] = (
        ""
    )
    models: Annotated[
        tuple[str, ...], Meta(description="Other models that a client may ask for.")
    ] = ()
    python: Annotated[
        str,
        Meta(
            description="`package.module:name` of an agent in Python, instead of a provider: an "
            "`Agent`, or an `async def` function of a `Run`."
        ),
    ] = ""
    url: Annotated[
        str,
        Meta(
            description="Address of a backend that answers the AI SDK's request with a UI message "
            "stream, instead of a provider."
        ),
    ] = ""
    steer_url: Annotated[
        str,
        Meta(
            description="With `url`: address of the backend that takes messages for an answer that "
            "it is writing (`onActive` = `steer`). Without it they are answered next."
        ),
    ] = ""
    forward_headers: Annotated[
        tuple[Text, ...],
        Meta(
            description="With `url`: names of the client's headers that are forwarded to the "
            "backend. No others are, not even `authorization` and cookies."
        ),
    ] = ("traceparent", "tracestate")
    secret_headers: Annotated[
        Mapping[str, Text],
        Meta(
            description="With `url`: name of a header -> environment variable with its whole value."
        ),
    ] = {}
    first_byte_timeout_s: Annotated[
        Seconds, Meta(description="With `url`: for the answer to begin.")
    ] = 120.0
    between_bytes_timeout_s: Annotated[
        Seconds, Meta(description="With `url`: for silence within an answer.")
    ] = 300.0
    max_answer_bytes: Annotated[
        Bytes, Meta(description="With `url`: the longest answer, as sent.")
    ] = 64 * 1024 * 1024
    system: Annotated[str | None, Meta(description="The system prompt.")] = None
    parameters: Annotated[
        Mapping[str, object],
        Meta(
            description="`max_output_tokens`, `temperature`, `top_p`, `stop_sequences`, "
            "`reasoning`, `response_format`, …"
        ),
    ] = {}
    provider_options: Annotated[
        Mapping[str, object],
        Meta(description="Merged over the request, in the provider's own spelling."),
    ] = {}
    send_reasoning: Annotated[bool, Meta(description="Show the model's reasoning.")] = True
    send_sources: Annotated[bool, Meta(description="Show the sources of the answer.")] = False
    message_metadata: Annotated[
        bool, Meta(description="Put model, tokens and times into the message's metadata.")
    ] = True
    name_speakers: Annotated[
        bool,
        Meta(
            description="Begin each person's message with their name for the model: `NAME: …`. "
            "Names are those of tokens; who has none is not named."
        ),
    ] = False
    max_steps: Annotated[
        Count, Meta(description="Calls of the model in one run, tool results between them.")
    ] = 20
    on_active: Annotated[
        OnActive | None,
        Meta(description="As `chat.on_active`, for messages to this agent. Unset: as there."),
    ] = None
    on_interruption: Annotated[
        Literal["close", "restart"],
        Meta(
            description="Outcome of a run whose gateway dies: `close` ends it with an error; with "
            "`restart` another gateway repeats the interrupted step. Background responses "
            "(`provider_options = { background = true }` of `openai`) continue in either case."
        ),
    ] = "close"
    tools: Annotated[
        tuple[Text, ...],
        Meta(description="`package.module:function` of each tool that is executed here."),
    ] = ()
    tool_timeout_s: Annotated[Seconds, Meta(description="Time limit of one call of `tools`.")] = (
        60.0
    )
    needs_approval: Annotated[
        Mapping[str, bool | Text],
        Meta(
            description="Name of one of `tools` -> `true`: a person must allow each call. Or "
            "`package.module:function` of a function of its parameters that decides."
        ),
    ] = {}
    tool_options: Annotated[
        Mapping[str, ToolOptionSettings],
        Meta(description="Options of `tools` in the provider's API, by name."),
    ] = {}
    client_tools: Annotated[
        Mapping[str, ClientToolSettings],
        Meta(description="Tools that the client executes, by name."),
    ] = {}
    provider_tools: Annotated[
        Mapping[str, ProviderToolSettings],
        Meta(description="Tools that the provider executes or defines, by name."),
    ] = {}
