"""One answer, before it is put on a wire: what was asked, and the parts that answer it."""

from __future__ import annotations

import json
from itertools import cycle
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import DecodeError, Raw, Struct, ValidationError
from msgspec import json as msgspec_json
from msgspec.structs import replace

from midstream.simulator.words.known import answer_to
from midstream.simulator.words.prose import (
    Dice,
    split_pieces,
    take_pieces,
    take_sized,
    take_whole,
    write_answer,
    write_thoughts,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from midstream.simulator.directives import AnswerScript, ToolAsk

StopKind = Literal["end", "length", "tools", "refusal", "stop_sequence"]

# Thinking tokens for a request with a thinking budget and no directive.
REQUESTED_REASONING = 40


class Line(Struct, frozen=True):
    """One message, or one part of it that is not text, as the simulator understood it."""

    role: str
    text: str


class DeclaredTool(Struct, frozen=True):
    """A tool of the request; `schema` is its JSON Schema."""

    name: str
    schema: Raw = Raw(b"{}")


class ToolOutcome(Struct, frozen=True):
    """A tool's result that the history holds after the prompt."""

    name: str
    text: str


class ModelRequest(Struct, frozen=True, kw_only=True):
    """A request, whatever its wire.

    Attributes:
        lines: the history, oldest first, for `[[echo]]` and to count input tokens.
        prompt: the last text that a person wrote.
        outcomes: tool results after it, in order.
        stream_usage: a stream tells its usage (Chat Completions only on request).
        rounds: how many times the assistant called tools after it.
        wants_reasoning: the request turned reasoning on.
        shows_reasoning: it may be shown (Responses: a summary was asked for, or nothing said).
        seals_reasoning: it is handed out sealed as well (Responses: `include`).
        kept: the input's items, to be stored with the answer; None if it is not to be.
        background: the answer is generated whether or not its connection lasts.
    """

    model: str
    lines: tuple[Line, ...]
    prompt: str
    stream: bool = False
    stream_usage: bool = True
    max_tokens: int | None = None
    stop_sequences: tuple[str, ...] = ()
    tools: tuple[DeclaredTool, ...] = ()
    outcomes: tuple[ToolOutcome, ...] = ()
    rounds: int = 0
    wants_reasoning: bool = False
    shows_reasoning: bool = True
    seals_reasoning: bool = False
    kept: tuple[Raw, ...] | None = None
    background: bool = False


class Source(Struct, frozen=True):
    """A page that the simulated search found."""

    title: str
    url: str
    excerpt: str


class Thoughts(Struct, frozen=True):
    """Thinking, before anything else."""

    pieces: tuple[str, ...]


class Search(Struct, frozen=True):
    """A web search that the provider makes itself."""

    query: str
    sources: tuple[Source, ...]


class Text(Struct, frozen=True):
    """Text; `cited` is the page that it quotes."""

    pieces: tuple[str, ...]
    cited: Source | None = None


class Call(Struct, frozen=True):
    """A call of a tool that the client executes; the pieces are its input's JSON."""

    name: str
    pieces: tuple[str, ...]


Part: TypeAlias = Thoughts | Search | Text | Call


class PlannedAnswer(Struct, frozen=True, kw_only=True):
    """The whole answer. Token counts add up: a piece is a token."""

    parts: tuple[Part, ...]
    stop: StopKind
    input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    refusal: tuple[str, ...] = ()
    stop_sequence: str | None = None


_REFUSAL = "I cannot help with that request, but I am glad to help with something else."


def plan_turn(conversation: ModelRequest, script: AnswerScript, text: str) -> PlannedAnswer:
    """Decide the answer to a request.

    Args:
        conversation: the request.
        script: its directives.
        text: its prompt without them; with the model's parts it seeds the answer.
    """
    parts: list[Part] = []
    stop: StopKind = "end"
    refusal: tuple[str, ...] = ()
    thinking = script.reasoning or (REQUESTED_REASONING if conversation.wants_reasoning else 0)
    if thinking:
        parts.append(Thoughts(take_pieces(write_thoughts(text), thinking)))
    calls = _calls(conversation, script)
    if script.refuse:
        stop, refusal = "refusal", tuple(split_pieces(_REFUSAL))
    elif calls:
        stop = "tools"
        parts += calls
    elif script.sources:
        parts += _searched(script, text)
    else:
        parts.append(Text(_answer(conversation, script, text)))
    return _measured(conversation, parts, stop, refusal)


def count_tokens(lines: Iterable[Line]) -> int:
    """Return the tokens of a history, at about four characters each."""
    return sum(4 + len(line.text) // 4 for line in lines)


def _answer(conversation: ModelRequest, script: AnswerScript, text: str) -> tuple[str, ...]:
    if script.echo:
        lines = (f"{line.role}: {_one_line(line.text)}" for line in conversation.lines)
        return tuple(split_pieces("\n".join(lines)))
    count = script.tokens
    if script.long_s is not None:
        # At full speed a duration has no meaning; take the pace that people read at.
        count = min(round(script.long_s * (script.rate or 60.0)), 250_000)
    if script.size is not None:
        return take_sized(write_answer(text), 150 if count is None else count, script.size)
    if conversation.outcomes:
        used = tuple(p for each in conversation.outcomes for p in split_pieces(_report(each)))
        if count is None:
            return used + tuple(split_pieces(_REPORTED))
        return (used + take_pieces(write_answer(text), count))[:count]
    if script.long_s is not None:
        return take_whole(write_answer(text), count or 0)
    if count is not None:
        return take_pieces(write_answer(text), count)
    if (known := answer_to(text)) is not None:
        return tuple(split_pieces(known))
    return take_whole(write_answer(text), 90 + Dice(text).below(120))


_REPORTED = (
    "The call waited in the session until its result was there, and then this answer went on: it "
    "would have done so in another tab, on another device, or after a restart as well.\n\n"
)


def _report(outcome: ToolOutcome) -> str:
    return f"The tool `{outcome.name}` answered: {_readable(outcome.text)[:2000]}\n\n"


def _readable(text: str) -> str:
    """Return a result as a person would read it out."""
    try:
        fields = msgspec_json.decode(text, type=dict[str, str | int | float | bool])
    except (ValidationError, DecodeError):
        return _one_line(text)
    words = {True: "yes", False: "no"}
    said = ((k, words[v] if isinstance(v, bool) else v) for k, v in fields.items())
    return _one_line(", ".join(f"{name} {value}" for name, value in said))


def _one_line(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _calls(conversation: ModelRequest, script: AnswerScript) -> list[Part]:
    step = conversation.rounds + 1
    calls: list[Part] = []
    for ask in script.tools:
        if step > script.steps if ask.step is None else step != ask.step:
            continue
        tool = _chosen(ask, conversation.tools)
        if tool is not None:
            arguments = ask.input if ask.input is not None else _example_input(tool.schema)
            calls.append(Call(tool.name, tuple(split_pieces(arguments))))
    return calls


def _chosen(ask: ToolAsk, declared: tuple[DeclaredTool, ...]) -> DeclaredTool | None:
    """Return the tool to call. An undeclared name is called too: gateways must survive it."""
    if ask.name is None:
        return declared[0] if declared else None
    return next((tool for tool in declared if tool.name == ask.name), DeclaredTool(ask.name))


class _Property(Struct):
    type: str | list[str] = "string"
    enum: list[object] | None = None


class _ObjectSchema(Struct):
    properties: dict[str, _Property] = {}
    required: list[str] = []


_EXAMPLES: dict[str, object] = {
    "string": "example",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "array": [],
    "object": {},
    "null": None,
}


def _example_input(schema: Raw) -> str:
    """Make an input that a simple schema accepts: its required properties."""
    try:
        wanted = msgspec_json.decode(schema, type=_ObjectSchema)
    except ValidationError:
        # Not the schema of a plain object: nothing that we could make would be better.
        return "{}"
    example: dict[str, object] = {}
    for name in wanted.required:
        field = wanted.properties.get(name, _Property())
        kind = field.type if isinstance(field.type, str) else field.type[0]
        example[name] = field.enum[0] if field.enum else _EXAMPLES.get(kind)
    return json.dumps(example)


def _searched(script: AnswerScript, text: str) -> list[Part]:
    """A search, and an answer that quotes each page once."""
    sources = tuple(
        page if number <= len(_PAGES) else replace(page, url=f"{page.url}#{number}")
        for number, page in zip(range(1, script.sources + 1), cycle(_PAGES), strict=False)
    )
    parts: list[Part] = [
        Search(" ".join(text.split())[:80] or "latest news", sources),
        Text(tuple(split_pieces(_FOUND))),
    ]
    for source in sources:
        parts.append(Text(tuple(split_pieces(source.excerpt)), cited=source))
        parts.append(Text(tuple(split_pieces(f" That is from “{source.title}”.\n\n"))))
    return parts


_FOUND = (
    "In short: numbers. Each layer counts what it sends, so that the reader knows what has to come "
    "next. This is what the pages say.\n\n"
)
_PAGES = (
    Source(
        "HTML Standard: Server-sent events",
        "https://html.spec.whatwg.org/multipage/server-sent-events.html",
        "Events may carry an id. A browser whose connection was lost connects again by itself, and "
        "sends the last id that it has seen in the header Last-FramedEvent-ID.",
    ),
    Source(
        "Redis: Streams",
        "https://redis.io/docs/latest/develop/data-types/streams/",
        "The ids of a stream's entries only ever grow, so a reader can ask for everything that "
        "comes after the last one it has read.",
    ),
    Source(
        "AI SDK: Stream protocols",
        "https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol",
        "A text comes as a start, deltas, and an end. All of them bear the id of their part, so "
        "that two parts cannot be mistaken for one another.",
    ),
    Source(
        "RFC 9293: Transmission Control Protocol",
        "https://www.rfc-editor.org/rfc/rfc9293",
        "Within one connection, bytes arrive in order or not at all. What was in flight when a "
        "connection broke is nobody's business but the application's.",
    ),
    Source(
        "RFC 6455: The WebSocket Protocol",
        "https://www.rfc-editor.org/rfc/rfc6455",
        "A connection that ends on purpose ends with a close frame. One that ends without it was "
        "lost, and what it still had to say is unknown.",
    ),
)


def _measured(
    conversation: ModelRequest, parts: list[Part], stop: StopKind, refusal: tuple[str, ...]
) -> PlannedAnswer:
    """Apply the request's limits to the parts, and count."""
    parts, sequence = _until_stop_sequence(parts, conversation.stop_sequences)
    if sequence is not None:
        stop = "stop_sequence"
    kept: list[Part] = []
    left = conversation.max_tokens if conversation.max_tokens is not None else 10**9
    spent = reasoning = 0
    for part in parts:
        if isinstance(part, Search):
            kept.append(part)
            continue
        pieces = part.pieces[: left - spent]
        spent += len(pieces)
        reasoning += len(pieces) if isinstance(part, Thoughts) else 0
        kept.append(_with_pieces(part, pieces))
        if len(pieces) < len(part.pieces):
            stop, sequence = "length", None
            break
    return PlannedAnswer(
        parts=tuple(kept),
        stop=stop,
        input_tokens=count_tokens(conversation.lines),
        output_tokens=spent + len(refusal),
        reasoning_tokens=reasoning,
        refusal=refusal,
        stop_sequence=sequence,
    )


def _with_pieces(part: Thoughts | Text | Call, pieces: tuple[str, ...]) -> Part:
    match part:
        case Thoughts():
            return Thoughts(pieces)
        case Text():
            return Text(pieces, part.cited)
        case Call():
            return Call(part.name, pieces)


def _until_stop_sequence(
    parts: list[Part], sequences: tuple[str, ...]
) -> tuple[list[Part], str | None]:
    if not sequences:
        return parts, None
    for index, part in enumerate(parts):
        if not isinstance(part, Text):
            continue
        text = "".join(part.pieces)
        found = [(text.find(s), s) for s in sequences if s and s in text]
        if found:
            at, sequence = min(found)
            cut = Text(tuple(split_pieces(text[:at])), part.cited)
            return [*parts[:index], cut], sequence
    return parts, None
