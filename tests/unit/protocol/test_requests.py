"""Bodies of requests for an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from midstream.protocol import MalformedFrameError, decode_chat_request

HI = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}


def body(**fields: Any) -> bytes:
    """Return a body."""
    return json.dumps(fields).encode()


def test_request_of_the_default_transport_is_read() -> None:
    """The SDK's fields and ours are told from the application's, which are kept as they came."""
    request = decode_chat_request(
        b'{"id":"c1","messages":[%b,%b],"trigger":"regenerate-message","messageId":"a1",'
        b'"onActive":"interrupt","agent":"poet","model":"m","requestId":"r","temperature":1.0}'
        % (body(**HI), body(**HI | {"id": "u2"}))
    )
    assert request.id == "c1"
    assert [message.id for message in request.messages] == ["u1", "u2"]
    assert (request.trigger, request.message_id) == ("regenerate-message", "a1")
    assert (request.agent, request.model, request.request_key) == ("poet", "m", "r")
    assert request.on_active == "interrupt"
    assert bytes(request.rest) == b'{"temperature":1.0}'


@pytest.mark.parametrize(
    "sent",
    [
        {"messages": [HI]},
        {"message": HI},
        {"messages": [HI], "id": None, "trigger": None, "messageId": None, "onActive": None},
    ],
)
def test_request_needs_no_more_than_a_message(sent: dict[str, Any]) -> None:
    """`WorkflowChatTransport` sends no id and no trigger; others one message alone."""
    request = decode_chat_request(body(**sent))
    assert [message.id for message in request.messages] == ["u1"]
    assert (request.id, request.message_id, request.agent) == (None, None, None)
    assert (request.trigger, request.on_active) == ("submit-message", None)
    assert bytes(request.rest) == b"{}"


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"", "truncated"),
        (b"[]", "object"),
        (b"\xff", "malformed"),
        (body(), "no messages"),
        (body(messages=[]), "no messages"),
        (body(messages=[{}]), "message"),
        (body(messages={}), "array"),
        (body(messages=[HI], id=1), r"\$\.id"),
        (body(messages=[HI], trigger="resume"), r"\$\.trigger"),
        (body(messages=[HI], onActive="ask"), r"\$\.onActive"),
    ],
)
def test_request_is_refused_with_what_is_wrong(sent: bytes, why: str) -> None:
    """The sentence helps who wrote the client."""
    with pytest.raises(MalformedFrameError, match=why):
        decode_chat_request(sent)
