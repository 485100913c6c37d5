"""Generates conversations: any parts that a gateway may have stored, in any state and order."""

from __future__ import annotations

import base64
import itertools
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

Json = dict[str, Any]

TEXTS: Final = st.sampled_from(["a", "b c", "", " d ", "\n", "é\u2028😀", '{"e": 1}', "<f>"])
_NUMBERS: Final = st.integers(-5, 10**15) | st.floats(allow_nan=False, allow_infinity=False)
_SCALARS: Final = st.none() | st.booleans() | _NUMBERS | TEXTS
VALUES: Final = _SCALARS | st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
_OBJECTS: Final = st.dictionaries(st.sampled_from(["a", "b", "type"]), VALUES, max_size=2)

_PNG: Final = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 20).decode()
_JPEG: Final = base64.b64encode(b"\xff\xd8\xff" + b"\0" * 20).decode()
_PDF: Final = base64.b64encode(b"%PDF-1.7 nothing").decode()
_WORDS: Final = base64.b64encode("Grüße".encode()).decode()
_FILES: Final = (
    ("image/png", f"data:image/png;base64,{_PNG}"),
    ("image/png", f"data:image/png;base64,{_JPEG}"),
    ("image/*", f"data:image/*;base64,{_PNG}"),
    ("image/jpeg", "https://example.org/i.jpg?x=1"),
    ("image/jpeg", "https://example.org"),
    ("application/pdf", f"data:application/pdf;base64,{_PDF}"),
    ("application/pdf", "https://example.org/d.pdf"),
    ("text/plain", f"data:text/plain;base64,{_WORDS}"),
    ("audio/wav", f"data:audio/wav;base64,{_WORDS}"),
    ("audio/mpeg", f"data:audio/mpeg;base64,{_WORDS}"),
)
_CACHED: Final = {"anthropic": {"cacheControl": {"type": "ephemeral"}}}
_BREAKPOINT: Final = {"openai": {"promptCacheBreakpoint": {"mode": "explicit"}}}
_TITLED: Final = {"anthropic": {"title": "T", "context": "C", "citations": {"enabled": True}}}
_DETAILED: Final = {"openai": {"imageDetail": "low"}}
_CALLERS: Final = (
    {"anthropic": {"caller": {"type": "direct"}}},
    {"anthropic": {"caller": {"type": "code_execution_20250825", "toolId": "srvtoolu_1"}}},
    {"openai": {"caller": {"type": "program", "callerId": "prog"}, "namespace": "n"}},
    {"openai": {"itemId": "fc_7"}},
    {"other": {"x": 1}},
)


@st.composite
def _user_parts(draw: DrawFn) -> list[Json]:
    metadata = st.sampled_from([None, None, _CACHED, _BREAKPOINT, _DETAILED, _TITLED])
    parts: list[Json] = []
    for kind in draw(st.lists(st.sampled_from(["text", "text", "file", "id", "data"]), max_size=3)):
        if kind == "text":
            part: Json = {"type": "text", "text": draw(TEXTS)}
        elif kind == "data":
            part = {"type": "data-note", "data": draw(VALUES)}
        else:
            media_type, url = draw(st.sampled_from(_FILES))
            part = {"type": "file", "mediaType": media_type, "url": url}
            if kind == "id":
                part["providerReference"] = {"anthropic": "file_1", "openai": "file-1"}
            if draw(st.booleans()):
                part["filename"] = "a.bin"
        parts.append(_with(part, "providerMetadata", draw(metadata)))
    return parts


def _with(part: Json, field: str, value: object) -> Json:
    return part if value is None else {**part, field: value}


@st.composite
def _said(draw: DrawFn, ids: itertools.count[int], *, reasoning: bool) -> Json:
    kinds: list[Json | None] = [None, {"openai": {"itemId": f"msg_{next(ids)}"}}, _CACHED]
    if reasoning:
        item = {"itemId": f"rs_{next(ids)}", "reasoningEncryptedContent": "enc"}
        kinds = [None, {"anthropic": {"signature": "sig"}}, {"openai": item}]
        kinds.append({"anthropic": {"redactedData": "xyz"}})
    else:
        kinds.append({"openai": {"itemId": f"msg_{next(ids)}", "phase": "commentary"}})
        kinds.append({"anthropic": {"type": "compaction", "signature": "s"}})
    part: Json = {"type": "reasoning" if reasoning else "text", "text": draw(TEXTS)}
    return _with({**part, "state": "done"}, "providerMetadata", draw(st.sampled_from(kinds)))


@st.composite
def _call(draw: DrawFn, ids: itertools.count[int]) -> Json:
    """A call of a function, in any state in which a run may leave it."""
    state = draw(
        st.sampled_from(
            [
                *("output-available", "output-available", "output-error", "output-denied"),
                *("approval-responded", "approval-requested", "input-available"),
            ]
        )
    )
    name = draw(st.sampled_from(["add", "gone"]))
    part: Json = {"type": f"tool-{name}", "toolCallId": f"call_{next(ids)}", "state": state}
    if draw(st.booleans()):
        part |= {"type": "dynamic-tool", "toolName": name}
    part["input"] = draw(_OBJECTS)
    part = _with(part, "callProviderMetadata", draw(st.sampled_from([None, *_CALLERS])))
    approval: Json = {"id": f"ap_{next(ids)}"}
    if state == "output-available":
        part["output"] = draw(VALUES)
        if draw(st.sampled_from([False, False, True])):
            part["approval"] = {**approval, "approved": True}
    elif state == "output-error":
        part["errorText"] = draw(TEXTS)
        if draw(st.booleans()):
            part["rawInput"] = part.pop("input")
        elif draw(st.booleans()):
            part["input"] = draw(TEXTS)
    elif state.startswith(("approval", "output-denied")):
        if state != "approval-requested":
            approval["approved"] = False
            approval |= draw(st.sampled_from([{}, {"reason": "because"}]))
        part["approval"] = approval
    return part


@st.composite
def _answer(draw: DrawFn, ids: itertools.count[int], hosted: SearchStrategy[Json] | None) -> Json:
    parts: list[Json] = []
    for _ in range(draw(st.integers(0, 3))):
        parts.append({"type": "step-start"})
        kinds = st.sampled_from(["reasoning", "text", "text", "call", "call", "hosted", "other"])
        for kind in draw(st.lists(kinds, max_size=4)):
            if kind in ("reasoning", "text"):
                parts.append(draw(_said(ids, reasoning=kind == "reasoning")))
            elif kind == "call":
                parts.append(draw(_call(ids)))
            elif kind == "hosted" and hosted is not None:
                parts.append({**draw(hosted), "toolCallId": f"hosted_{next(ids)}"})
            else:
                parts.append({"type": "source-url", "sourceId": "s", "url": "https://a.example"})
    return {"id": f"a{next(ids)}", "role": "assistant", "parts": parts}


@st.composite
def histories(draw: DrawFn, hosted: SearchStrategy[Json] | None) -> list[Json]:
    """Conversations of up to five messages that begin and end with a person's.

    Args:
        hosted: calls of tools that the provider executes, without ids.
    """
    ids = itertools.count()
    messages: list[Json] = []
    for _ in range(draw(st.integers(0, 2))):
        messages.append({"id": f"u{next(ids)}", "role": "user", "parts": draw(_user_parts())})
        messages.append(draw(_answer(ids, hosted)))
    parts = [*draw(_user_parts()), {"type": "text", "text": "last"}]
    messages.append({"id": "u", "role": "user", "parts": parts})
    if draw(st.sampled_from([False, False, True])):
        messages.append(draw(_answer(ids, hosted)))
    return messages
