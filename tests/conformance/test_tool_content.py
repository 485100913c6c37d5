"""Results with texts and files, in the form of `toModelOutput`, are sent as by the AI SDK."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.conformance.anthropic_cases import ADD, user
from tests.conformance.oracle import our_request

if TYPE_CHECKING:
    from tests.conformance.oracle import AiSdk

Json = dict[str, Any]

PNG: Final = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 20).decode()
PDF: Final = base64.b64encode(b"%PDF-1.7 nothing").decode()
TEXT: Final = {"type": "text", "text": "The map:"}


def _file(media_type: str, data: Json, **more: str) -> Json:
    return {"type": "file", "mediaType": media_type, **more, "data": data}


IDS: Final = {"anthropic": "file_1", "openai": "file-1"}
CONTENTS: Final[dict[str, list[Json]]] = {
    "a text": [TEXT],
    "nothing": [],
    "an image": [TEXT, _file("image/png", {"type": "data", "data": PNG})],
    "an image's address": [_file("image/png", {"type": "url", "url": "https://a.example/i.png"})],
    "an image's id": [_file("image/png", {"type": "reference", "reference": IDS})],
    "a document": [_file("application/pdf", {"type": "data", "data": PDF}, filename="a.pdf"), TEXT],
    "a document without a name": [_file("application/pdf", {"type": "data", "data": PDF})],
    "a document's address": [
        _file("application/pdf", {"type": "url", "url": "https://a.example/d.pdf"})
    ],
    "a document's id": [_file("application/pdf", {"type": "reference", "reference": IDS})],
}


def _case(provider: str, value: list[Json], **case: Any) -> Json:
    call = {
        "type": "tool-add",
        "toolCallId": "call_1",
        "state": "output-available",
        "input": {},
        "output": {"type": "content", "value": value},
        "resultProviderMetadata": {"midstream": {"modelOutput": True}},
    }
    parts = [{"type": "step-start"}, call]
    history = [user("a"), {"id": "a", "role": "assistant", "parts": parts}, user("b")]
    tools = [{**ADD, "content": True}]
    return {"provider": provider, "messages": history, "tools": tools, **case}


@pytest.mark.parametrize("provider", ["anthropic", "openai-responses", "openai-chat"])
def test_content_is_sent_as_the_ai_sdk_does(provider: str, ai_sdk: AiSdk) -> None:
    """Texts, and files by content, address and id, are equal in each API."""
    cases = {name: _case(provider, value) for name, value in CONTENTS.items()}
    answers = ai_sdk.requests(cases.values())
    differences = {
        name: (ours, theirs)
        for (name, case), theirs in zip(cases.items(), answers, strict=True)
        # Chat Completions has no addresses: the AI SDK fetches the document, which does not exist.
        if "@error" not in theirs and (ours := our_request(provider, case)) != theirs
    }
    assert sum("@error" in theirs for theirs in answers) == (provider == "openai-chat")
    assert differences == {}
