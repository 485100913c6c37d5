"""Requests of ai 4's `useChat`, beside the session's state."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstream.protocol.errors import MalformedFrameError
from midstream.protocol.messages import UIMessage
from midstream.protocol.v4_requests import V4Request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.protocol.requests import ChatRequest


def said(text: str, **more: object) -> dict[str, Any]:
    """Return a user's message as ai 4 sends it."""
    return {
        "role": "user",
        "content": text,
        "parts": [{"type": "text", "text": text}],
        **more,
    }


def answer(*calls: dict[str, Any]) -> dict[str, Any]:
    """Return an answer as ai 4 sends it."""
    parts = [{"type": "tool-invocation", "toolInvocation": call} for call in calls]
    return {"role": "assistant", "content": "…", "parts": [{"type": "step-start"}, *parts]}


def call(call_id: str, state: str = "result", **more: object) -> dict[str, Any]:
    """Return a call of ai 4."""
    return {"toolCallId": call_id, "toolName": "look", "state": state, "step": 0, **more}


def stored(role: str, message_id: str, *parts: dict[str, Any]) -> UIMessage:
    """Return a message of the session."""
    return UIMessage.parse(json.dumps({"id": message_id, "role": role, "parts": parts}).encode())


def asked(message_id: str, text: str) -> UIMessage:
    """Return a user's message of the session."""
    return stored("user", message_id, {"type": "text", "text": text})


def beside(messages: Sequence[dict[str, Any]], *held: UIMessage, **body: object) -> ChatRequest:
    """Return what a request means."""
    fields = {"id": "c1", "messages": messages, **body}
    return V4Request(json.dumps(fields).encode()).beside(held)


def ids(request: ChatRequest) -> list[str]:
    """Return the ids of a request's messages."""
    return [message.id for message in request.messages]


def parts(request: ChatRequest) -> list[Any]:
    """Return the parts of a request's last message."""
    return [json.loads(bytes(part)) for part in request.messages[-1].parts]


HELD = (
    asked("u1", "one"),
    stored("assistant", "a1"),
    asked("u2", "two"),
    stored("assistant", "a2"),
)


def test_first_message_is_new() -> None:
    """The rest of the body is the application's, as always."""
    request = beside([said("Hi")], data={"x": 1}, agent="poet")
    assert (request.id, request.agent, request.trigger) == ("c1", "poet", "submit-message")
    assert request.messages[-1].role == "user"
    assert parts(request) == [{"type": "text", "text": "Hi"}]
    assert bytes(request.rest) == b'{"data":{"x": 1}}'


def test_conversation_has_the_sessions_ids_and_a_new_message() -> None:
    """Messages come without ids; the session's are found by what they say."""
    request = beside([said("one"), answer(), said("two"), answer(), said("one")], *HELD)
    assert ids(request)[:4] == ["u1", "a1", "u2", "a2"]
    assert ids(request)[4] not in {"u1", "u2"}
    assert request.trigger == "submit-message"


def test_same_request_twice_is_the_same_message() -> None:
    """So that a repeated send starts one run; once the session has moved on, it is another."""
    first = beside([said("one"), answer(), said("new")], *HELD[:2])
    again = beside([said("one"), answer(), said("new")], *HELD[:2])
    other = beside([said("one"), answer(), said("new")], *HELD)
    assert ids(first) == ids(again)
    assert ids(first)[-1] != ids(other)[-1]


def test_message_that_was_answered_is_answered_again() -> None:
    """`reload` sends what was sent before."""
    request = beside([said("one"), answer(), said("two")], *HELD)
    assert ids(request) == ["u1", "a1", "u2"]
    assert request.trigger == "regenerate-message"


def test_message_that_has_no_answer_is_sent_again() -> None:
    """It joins the run under way, or is tried once more."""
    request = beside([said("one"), answer(), said("two")], *HELD[:3])
    assert ids(request) == ["u1", "a1", "u2"]
    assert request.trigger == "submit-message"


def test_edited_message_follows_what_came_before_it() -> None:
    """Not the end of the session: its own predecessor is named, and it is new."""
    request = beside([said("one"), answer(), said("edited")], *HELD)
    assert ids(request)[:2] == ["u1", "a1"]
    assert ids(request)[2].startswith("v4_")
    assert request.trigger == "submit-message"


def test_edit_to_the_words_of_a_later_message_is_an_edit() -> None:
    """An equal message further on is another one."""
    request = beside([said("two")], *HELD)
    assert ids(request)[0].startswith("v4_")


def test_messages_that_the_client_left_out_are_passed_over() -> None:
    """A pair deleted in the page leaves the rest recognizable."""
    request = beside([said("two"), answer(), said("new")], *HELD)
    assert ids(request)[:2] == ["u2", "a2"]


def test_messages_that_the_session_does_not_have_stay_unknown() -> None:
    """They get ids that nobody has."""
    request = beside([said("else"), answer(), said("new")], *HELD)
    assert not {"u1", "a1", "u2", "a2"} & set(ids(request))


@pytest.mark.parametrize(
    ("text", "trigger"), [("two", "regenerate-message"), ("edited", "submit-message")]
)
def test_ids_of_the_client_are_kept(text: str, trigger: str) -> None:
    """With `sendExtraMessageFields`: the same id with other content is an edit."""
    messages = [said("one", id="u1"), {**answer(), "id": "a1"}, said(text, id="u2")]
    request = beside(messages, *HELD)
    assert ids(request) == ["u1", "a1", "u2"]
    assert request.trigger == trigger


def test_new_message_with_an_id_keeps_it() -> None:
    """The client's ids are the session's."""
    assert ids(beside([said("Hi", id="mine")])) == ["mine"]


@pytest.mark.parametrize(("text", "known"), [("three", True), ("one", False)])
def test_last_message_alone_is_the_end_of_the_session(text: str, known: bool) -> None:
    """`experimental_prepareRequestBody` often sends no more; it is new, unless unanswered."""
    held = (*HELD, asked("u3", "three"))
    body = json.dumps({"id": "c1", "message": said(text)}).encode()
    request = V4Request(body).beside(held)
    assert (ids(request) == ["u3"]) is known
    assert request.trigger == "submit-message"
    assert bytes(request.rest) == b"{}"


def test_results_are_those_of_the_sessions_calls() -> None:
    """Only results count, and a call is of the kind that the session says."""
    held = (
        asked("u1", "one"),
        stored(
            "assistant",
            "a1",
            {"type": "step-start"},
            {"type": "dynamic-tool", "toolName": "look", "toolCallId": "c1", "state": "x"},
            {
                "type": "dynamic-tool",
                "toolName": "look",
                "toolCallId": "c2",
                "state": "input-available",
                "input": {},
            },
        ),
    )
    calls = (
        call("c2", args={"a": 1}, result=[1]),
        call("c3"),
        call("c4", "call", args={}),
        call("c5", "partial-call"),
    )
    request = beside([said("one"), answer(*calls)], *held)
    assert ids(request) == ["u1", "a1"]
    assert request.trigger == "submit-message"
    assert parts(request) == [
        {
            "type": "dynamic-tool",
            "toolName": "look",
            "toolCallId": "c2",
            "state": "output-available",
            "input": {"a": 1},
            "output": [1],
        },
        {
            "type": "tool-look",
            "toolCallId": "c3",
            "state": "output-available",
            "input": {},
            "output": None,
        },
    ]


def test_results_are_read_without_parts() -> None:
    """As ai 4 sent them before it had parts."""
    message = {
        "role": "assistant",
        "content": "",
        "toolInvocations": [call("c1", args={}, result=1)],
    }
    assert [part["output"] for part in parts(beside([said("one"), message], *HELD))] == [1]


def test_text_is_the_contents_without_parts() -> None:
    """Parts are optional; `data` messages are the application's own."""
    request = beside([{"role": "user", "content": "Hi"}, {"role": "data", "content": "x"}])
    assert parts(request) == [{"type": "text", "text": "Hi"}]


def test_files_come_after_the_text() -> None:
    """Attachments and file parts; a data URL has its own media type."""
    attachments = [
        {"name": "a.pdf", "contentType": "application/pdf", "url": "https://x.example/a.pdf"},
        {"url": "data:image/png;base64,AAAA"},
        {"url": "https://x.example/b"},
    ]
    message = said("See", experimental_attachments=attachments)
    message["parts"].append({"type": "file", "mimeType": "image/gif", "data": "R0lG"})
    assert parts(beside([message])) == [
        {"type": "text", "text": "See"},
        {"type": "file", "mediaType": "image/gif", "url": "data:image/gif;base64,R0lG"},
        {
            "type": "file",
            "mediaType": "application/pdf",
            "url": "https://x.example/a.pdf",
            "filename": "a.pdf",
        },
        {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AAAA"},
        {"type": "file", "mediaType": "application/octet-stream", "url": "https://x.example/b"},
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"messages":[]}',
        b'{"messages":[{"role":"data","content":"x"}]}',
        b'{"messages":[{"role":"boss","content":"x"}]}',
        b'{"messages":[{"role":"user","content":"x","parts":[7]}]}',
        b'{"messages":[{"role":"user","content":7}]}',
        b'{"messages":[{"role":"user","content":"x"}],"agent":7}',
        b'{"messages":[{"role":"user","parts":[{"type":"file","mimeType":"a/b","data":7}]}]}',
        b'{"id":7,"messages":[{"role":"user","content":"x"}]}',
        b'{"messages":[{"role":"user","content":"\xff"}]}',
    ],
)
def test_what_ai_4_does_not_send_is_refused(body: bytes) -> None:
    """With a sentence."""
    with pytest.raises(MalformedFrameError, match="unable to read the request"):
        V4Request(body).beside(())


@given(
    texts=st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=5),
    end=st.integers(1, 5),
)
def test_every_beginning_of_a_conversation_is_recognized(texts: list[str], end: int) -> None:
    """A message that repeats an earlier one is not taken for it."""
    held: list[UIMessage] = []
    sent: list[dict[str, Any]] = []
    for number, text in enumerate(texts):
        held += [asked(f"u{number}", text), stored("assistant", f"a{number}")]
        sent += [said(text), answer()]
    end = min(end, len(texts))
    request = beside(sent[: 2 * end - 1], *held)
    assert ids(request) == [message.id for message in held[: 2 * end - 1]]
    assert request.trigger == "regenerate-message"
