"""Contents of a proxied call's request: the user's words, tools' results, declared tools."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from midstream.errors import InvalidRequestError
from midstream.providers.anthropic.proxied import MESSAGES
from midstream.providers.openai_chat.proxied import CHAT
from midstream.providers.openai_responses.proxied import RESPONSES
from midstream.providers.passthrough.api import ProxiedApi, read_call

if TYPE_CHECKING:
    from midstream.providers.passthrough.call import ModelCall

PNG = "data:image/png;base64,iVBORw0KGgo="


def call(api: ProxiedApi, **body: object) -> ModelCall:
    """Read a request."""
    return read_call(api, json.dumps(body).encode())


def said(found: ModelCall) -> list[dict[str, Any]] | None:
    """The user's parts, decoded."""
    return None if found.said is None else [json.loads(bytes(part)) for part in found.said]


def results(found: ModelCall) -> list[tuple[str, Any]]:
    """Each result: its output, or its error as text."""
    return [
        (each.call_id, each.error_text or json.loads(bytes(each.output))) for each in found.results
    ]


def test_last_words_of_the_user_are_what_is_asked() -> None:
    """In each of the three APIs; text alone, or in blocks."""
    hello = [{"type": "text", "text": "hello"}]
    chat = [{"role": "user", "content": "old"}, {"role": "assistant", "content": "yes"}]
    for messages in (
        [*chat, {"role": "user", "content": "hello"}],
        [*chat, {"role": "user", "content": hello}],
    ):
        for api in (CHAT, MESSAGES):
            found = call(api, messages=messages)
            assert said(found) == hello
            assert not found.goes_on
    assert said(call(RESPONSES, input="hello")) == hello
    item = {"role": "user", "content": [{"type": "input_text", "text": "hello"}]}
    assert said(call(RESPONSES, input=[*chat, item])) == hello


IMAGE: Final = {"type": "file", "mediaType": "image/png", "url": PNG}


def test_files_of_chat_completions_are_shown_as_parts() -> None:
    """Images and documents, inline or by address; what cannot be shown is left out."""
    url = "https://example.com/a.png"
    content = [
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}},
        {"type": "file", "file": {"file_data": PNG, "filename": "a.png"}},
        {"type": "file", "file": {"file_id": "f-1"}},
        {"type": "unheard_of"},
    ]
    assert said(call(CHAT, messages=[{"role": "user", "content": content}])) == [
        IMAGE,
        {"type": "file", "mediaType": "image/*", "url": url},
        {"type": "file", "mediaType": "audio/mpeg", "url": "data:audio/mpeg;base64,AA=="},
        {**IMAGE, "filename": "a.png"},
    ]


def test_files_of_messages_are_shown_as_parts() -> None:
    """Images and texts, inline; a file by its id is left out."""
    inline = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    content = [
        {"type": "image", "source": inline},
        {"type": "document", "source": {"type": "text", "data": "hé"}, "title": "n"},
        {"type": "image", "source": {"type": "file", "file_id": "f"}},
    ]
    note = "data:text/plain;base64,aMOp"
    assert said(call(MESSAGES, messages=[{"role": "user", "content": content}])) == [
        IMAGE,
        {"type": "file", "mediaType": "text/plain", "url": note, "filename": "n"},
    ]


def test_files_of_responses_are_shown_as_parts() -> None:
    content = [{"type": "input_image", "image_url": PNG}]
    assert said(call(RESPONSES, input=[{"role": "user", "content": content}])) == [IMAGE]


def test_message_of_nothing_that_can_be_shown_says_nothing() -> None:
    """It is a message all the same."""
    found = call(CHAT, messages=[{"role": "user", "content": [{"type": "odd"}]}])
    assert said(found) == [{"type": "text", "text": ""}]


def test_results_since_the_users_words_are_found() -> None:
    """Of all steps, oldest first; text that is JSON is shown as JSON."""
    user = {"role": "user", "content": "w?"}
    chat = call(
        CHAT,
        messages=[
            user,
            {"role": "assistant", "content": None, "tool_calls": []},
            {"role": "tool", "tool_call_id": "a", "content": '{"t": 1}'},
            {"role": "assistant", "content": None, "tool_calls": []},
            {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "warm"}]},
        ],
    )
    assert results(chat) == [("a", {"t": 1}), ("b", "warm")]
    assert chat.goes_on
    responses = call(
        RESPONSES,
        input=[
            user,
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "{broken"},
            {"type": "custom_tool_call_output", "call_id": "b", "output": "4"},
        ],
    )
    assert results(responses) == [("a", "{broken"), ("b", "4")]
    assert responses.goes_on
    messages = call(
        MESSAGES,
        messages=[
            user,
            {"role": "assistant", "content": []},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": "no", "is_error": True},
                    {"type": "tool_result", "tool_use_id": "b"},
                    {"type": "text", "text": "and?"},
                ],
            },
        ],
    )
    assert results(messages) == [("a", "no"), ("b", None)]
    assert messages.goes_on
    assert said(messages) == [{"type": "text", "text": "w?"}]


def test_results_of_an_earlier_turn_are_not_looked_at() -> None:
    """The user has spoken since."""
    found = call(
        CHAT,
        messages=[
            {"role": "tool", "tool_call_id": "a", "content": "x"},
            {"role": "user", "content": "next"},
            {"role": "system", "content": "brief"},
        ],
    )
    assert (results(found), found.goes_on) == ([], False)


def test_declared_tools_are_known_by_name() -> None:
    """A provider's own by its name, or its type."""
    tools = [
        {"type": "function", "function": {"name": "f"}},
        {"type": "function", "name": "g"},
        {"type": "custom", "name": "h"},
        {"name": "i", "input_schema": {}},
        {"type": "web_search_20250305", "name": "web_search"},
        {"type": "web_search"},
        {},
    ]
    found = call(RESPONSES, input="x", tools=tools)
    assert [(tool.name, tool.provider_type) for tool in found.tools] == [
        ("f", None),
        ("g", None),
        ("h", None),
        ("i", None),
        ("web_search", "web_search_20250305"),
        ("web_search", "web_search"),
    ]


@pytest.mark.parametrize(
    "body",
    [b"", b"nonsense", b"[]", b'{"messages": 1}', b'{"messages": [1]}', b"\xff", b'{"messages":['],
)
def test_body_that_is_no_request_is_refused(body: bytes) -> None:
    """Before anything goes to the provider."""
    with pytest.raises(InvalidRequestError, match="chat/completions"):
        read_call(CHAT, body)
