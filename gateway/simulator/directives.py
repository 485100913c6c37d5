"""Grammar of the directives in a prompt.

A directive stands in the last message a person wrote, in double brackets, and is taken out
of it before the answer is made up::

    [[tokens=500 rate=50 first=2s]]   [[error=overloaded after=10]]   [[echo]]

    directive = "[[" word *( " " word ) "]]"
    word      = key "=" value | flag
    tool      = "[[tool" [ "=" name ] [ JSON object ] [ "step=" number ] "]]"
    duration  = number [ "ms" | "s" | "m" | "h" ]          ; seconds when no unit is given

A text in brackets that does not begin with a known key and has no `=` after its first word
is left alone; an unknown key or an unreadable value is an error, so that a typing mistake
cannot pass for a test. docs/simulator.md has the keys as a table; `_PARSERS` is the source.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, cast

from msgspec import Struct
from msgspec.structs import replace

from midstream.simulator.failures import KINDS

# A delta is about a hundred bytes of memory until it is sent: a bound on one request.
MAX_TOKENS = 250_000
MAX_DURATION_S = 24 * 3600.0
DEFAULT_RATE = 60.0

IncidentKind = Literal["stall", "hold", "error", "cut", "eof", "malformed"]


class DirectiveError(ValueError):
    """A directive that cannot be read; the text says which."""


class Incident(Struct, frozen=True):
    """Something that happens to a stream once `after` deltas have been sent.

    Attributes:
        kind: `stall` (silence), `hold` (silence until it is released), `error` (the
            provider's error event), `cut` (connection reset), `eof` (a clean end without a
            terminal event), `malformed` (an event that is not JSON; the stream goes on).
        name: of an `error`, one of `failures.KINDS`; of a `hold`, what releases it.
        duration_s: of a `stall`.
    """

    kind: IncidentKind
    after: int = 0
    name: str = ""
    duration_s: float = 0.0


class HttpFailure(Struct, frozen=True):
    """A status instead of an answer: for `times` requests of a prompt, or (None) for all."""

    status: int
    times: int | None = None
    retry_after_s: float | None = None


class ToolAsk(Struct, frozen=True):
    """A tool to call. None: the first that is declared, or an input made from its schema.

    `step` is the only one in which it is called, from 1; None: in all of the script's steps.
    """

    name: str | None = None
    input: str | None = None
    step: int | None = None


class AnswerScript(Struct, frozen=True, kw_only=True):
    """Directions for one answer. `rate`: deltas a second, 0 as fast as possible."""

    tokens: int | None = None
    size: int | None = None
    rate: float = DEFAULT_RATE
    headers_s: float = 0.0
    first_s: float = 0.3
    long_s: float | None = None
    reasoning: int = 0
    sources: int = 0
    steps: int = 1
    echo: bool = False
    refuse: bool = False
    tools: tuple[ToolAsk, ...] = ()
    incidents: tuple[Incident, ...] = ()
    http: HttpFailure | None = None


class Directed(NamedTuple):
    """A message's script, and its text without directives."""

    script: AnswerScript
    text: str


# Models are presets in the same language; a name that is not here is `sim`.
MODELS: Mapping[str, str] = {
    "sim": "",
    "sim-instant": "[[rate=0 first=0]]",
    "sim-fast": "[[rate=300 first=50ms]]",
    "sim-slow": "[[rate=8 first=3s]]",
    "sim-reasoner": "[[reasoning=120 first=1s]]",
    "sim-tools": "[[tool]]",
    "sim-search": "[[sources=3]]",
    "sim-long": "[[long=10m]]",
}
# The one name that the simulated providers do not know: they answer it with their 404.
MISSING_MODEL = "sim-missing"

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}
_NAME = re.compile(r"[\w.-]{1,80}")
_HEAD = re.compile(r"\[\[\s*([a-z]+)(=?)")
_TOOL = re.compile(r"\[\[\s*tool(?:=([\w.-]+))?\s*")
_TOOL_END = re.compile(r"\s*(?:step=([1-9]\d?)\s*)?\]\]")


def script_for(model: str, prompt: str) -> Directed:
    """Return what `model` does with `prompt`: the model's preset, then the directives.

    Raises:
        DirectiveError: a directive of the prompt cannot be read.
    """
    preset = read_directives(MODELS.get(model, "")).script
    directed = read_directives(prompt, preset)
    script = directed.script
    if script.tools != preset.tools:
        script = replace(script, tools=script.tools[len(preset.tools) :])
    return Directed(script, directed.text)


def read_directives(text: str, base: AnswerScript | None = None) -> Directed:
    """Apply the directives in `text` to `base`, in their order.

    Raises:
        DirectiveError: a directive cannot be read.
    """
    script = base or AnswerScript()
    kept: list[str] = []
    at = 0
    for head in _HEAD.finditer(text):
        if head.start() < at or not (head[1] in _PARSERS or head[1] in _FLAGS or head[2]):
            continue
        if head[1] == "tool":
            end, ask = _read_tool(text, head.start())
            script = replace(script, tools=(*script.tools, ask))
        else:
            end = text.find("]]", head.end())
            if end < 0:
                raise DirectiveError(f"unable to read {text[head.start() :][:80]}; no closing ]]")
            script = _apply(script, text[head.start() + 2 : end].split())
            end += 2
        kept.append(text[at : head.start()])
        at = end
    kept.append(text[at:])
    return Directed(script, "".join(kept).strip())


def _read_tool(text: str, start: int) -> tuple[int, ToolAsk]:
    match = _TOOL.match(text, start)
    at = match.end() if match else start
    arguments = None
    if text.startswith("{", at):
        try:
            _, end = json.JSONDecoder().raw_decode(text, at)
        except ValueError as error:
            raise DirectiveError(f"unable to read a tool's input; {error}") from error
        arguments, at = text[at:end], end
    closing = _TOOL_END.match(text, at)
    if match is None or closing is None:
        raise DirectiveError(f"unable to read {text[start:][:80]}; write [[tool=name {{…}}]]")
    step = None if closing[1] is None else int(closing[1])
    return closing.end(), ToolAsk(match[1], arguments, step)


def _apply(script: AnswerScript, words: list[str]) -> AnswerScript:
    values = {key: value for key, _, value in (word.partition("=") for word in words)}
    for key, value in values.items():
        if key in _MODIFIERS:
            continue
        try:
            if key in _FLAGS and not value:
                script = _FLAGS[key](script, values)
            else:
                script = _PARSERS[key](script, value, values)
        except (KeyError, ValueError) as error:
            raise DirectiveError(f"unable to read the directive {key}={value}; {error}") from error
    return script


def _count(text: str, limit: int = MAX_TOKENS) -> int:
    number = int(text)
    if not 0 <= number <= limit:
        raise ValueError(f"it must be between 0 and {limit}")
    return number


def _seconds(text: str) -> float:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("write a duration such as 250ms, 5s or 2m")
    seconds = float(match[1]) * _UNIT_S[cast("str | None", match[2])]
    if seconds > MAX_DURATION_S:
        raise ValueError("it must not be longer than a day")
    return seconds


def _incident(
    kind: IncidentKind, script: AnswerScript, value: str, words: Mapping[str, str]
) -> AnswerScript:
    if kind == "error" and value not in KINDS:
        raise ValueError(f"it must be one of {', '.join(KINDS)}")
    if kind == "hold" and not _NAME.fullmatch(value):
        raise ValueError("name it with letters, digits, dots, underscores and dashes")
    incident = Incident(
        kind,
        after=_count(words.get("after", "0")),
        name=value if kind in ("error", "hold") else "",
        duration_s=_seconds(value) if kind == "stall" else 0.0,
    )
    return replace(script, incidents=(*script.incidents, incident))


def _http(script: AnswerScript, value: str, words: Mapping[str, str]) -> AnswerScript:
    status = int(value)
    if not 400 <= status <= 599:
        raise ValueError("it must be between 400 and 599")
    times = _count(words["times"]) if "times" in words else None
    retry_after_s = _seconds(words["retry"]) if "retry" in words else None
    return replace(script, http=HttpFailure(status, times, retry_after_s))


def _rate(script: AnswerScript, value: str, _: Mapping[str, str]) -> AnswerScript:
    if not 0 <= (rate := float(value)) <= 1_000_000:
        raise ValueError("it must be between 0 and 1000000")
    return replace(script, rate=rate)


_Parser = Callable[[AnswerScript, str, Mapping[str, str]], AnswerScript]

_PARSERS: Mapping[str, _Parser] = {
    "tokens": lambda s, v, _: replace(s, tokens=_count(v), long_s=None),
    "size": lambda s, v, _: replace(s, size=max(1, _count(v, 1_000_000))),
    "rate": _rate,
    "headers": lambda s, v, _: replace(s, headers_s=_seconds(v)),
    "first": lambda s, v, _: replace(s, first_s=_seconds(v)),
    "long": lambda s, v, _: replace(s, long_s=_seconds(v), tokens=None),
    "reasoning": lambda s, v, _: replace(s, reasoning=_count(v)),
    "sources": lambda s, v, _: replace(s, sources=_count(v, 20)),
    "steps": lambda s, v, _: replace(s, steps=_count(v, 100)),
    "stall": lambda s, v, w: _incident("stall", s, v, w),
    "hold": lambda s, v, w: _incident("hold", s, v, w),
    "error": lambda s, v, w: _incident("error", s, v, w),
    "http": _http,
    # Read by `_read_tool`: its input is JSON. Here so that the word is known.
    "tool": lambda s, v, _: s,
}
_FLAGS: Mapping[str, Callable[[AnswerScript, Mapping[str, str]], AnswerScript]] = {
    "echo": lambda s, _: replace(s, echo=True),
    "refuse": lambda s, _: replace(s, refuse=True),
    "cut": lambda s, w: _incident("cut", s, "", w),
    "eof": lambda s, w: _incident("eof", s, "", w),
    "malformed": lambda s, w: _incident("malformed", s, "", w),
}
_MODIFIERS = frozenset({"after", "times", "retry"})
