"""Bad requests are refused with a code and a sentence, before anything is changed."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from midstream.api.off_loop import LARGE, off_loop
from midstream.protocol.requests import MAX_FIELDS, MAX_MESSAGES, MAX_PARTS
from midstream.settings.sections import ServerSettings
from tests.unit.gateway.api.fakes import BODY, FakeSessions, http_scope, make_app, request

pytestmark = pytest.mark.anyio

BAD_BODIES = {
    "nothing": b"",
    "malformed JSON": b'{"id": "c1", ',
    "not UTF-8": b'{"id": "\xff"}',
    "an array": b"[]",
    "null": b"null",
    "deep nesting": b'{"messages":' + b"[" * 100_000,
    "no messages": b'{"id": "c1"}',
    "empty messages": b'{"id": "c1", "messages": []}',
    "messages of a wrong type": b'{"id": "c1", "messages": {"a": 1}}',
    "a message that is none": b'{"id": "c1", "messages": [7]}',
    "an unknown role": b'{"id": "c1", "messages": [{"id": "u", "role": "root", "parts": []}]}',
    "parts of a wrong type": b'{"id": "c1", "messages": [{"id": "u", "role": "user", "parts": 1}]}',
}
BAD_FIELDS: dict[str, Any] = {
    "id of a wrong type": {"id": 7},
    "empty id": {"id": ""},
    "id that climbs": {"id": ".."},
    "id of 10 kB": {"id": "x" * 10_000},
    "id with braces": {"id": "{other}"},
    "id with NUL": {"id": "a\x00b"},
    "id with a line end": {"id": "a\nb"},
    "id with a slash": {"id": "a/b"},
    "unknown trigger": {"trigger": "resume-stream"},
    "trigger of a wrong type": {"trigger": 1},
    "bad message id": {"messageId": "{}"},
    "unknown onActive": {"onActive": "queues"},
    "agent of a wrong type": {"agent": ["a"]},
    "model of a wrong type": {"model": {}},
    "bad request id": {"requestId": "x" * 200},
}


STEP = {"type": "step-start"}
USER = {"id": "u1", "role": "user", "parts": [STEP]}
OVERSIZED: dict[str, dict[str, Any]] = {
    "parts": {"messages": [{**USER, "parts": [STEP] * (MAX_PARTS + 1)}]},
    "parts of an assistant's message": {
        "messages": [{"id": "a1", "role": "assistant", "parts": [STEP] * (MAX_PARTS + 1)}]
    },
    "messages": {"messages": [USER] * (MAX_MESSAGES + 1)},
    "ai 4's messages": {"messages": [{"role": "user", "content": ""}] * (MAX_MESSAGES + 1)},
    "fields": {f"field-{number}": 1 for number in range(MAX_FIELDS)},
}


async def test_send_refuses_more_than_a_request_may_hold(subtests: pytest.Subtests) -> None:
    """413: each part would cost everybody else microseconds."""
    for name, fields in OVERSIZED.items():
        with subtests.test(name):
            sessions = FakeSessions()
            target = "/api/chat?protocol=v4" if name == "ai 4's messages" else "/api/chat"
            answer = await request(make_app(sessions), "POST", target, BODY | fields)
            assert (answer.status, answer.error) == (413, "too_large")
            assert sessions.called("start") == []


async def test_history_may_hold_an_answer_of_any_size() -> None:
    """A client sends what it was sent: only the message that is new is counted."""
    sessions = FakeSessions()
    answered = {"id": "a1", "role": "assistant", "parts": [STEP] * (MAX_PARTS + 1)}
    body = BODY | {"messages": [answered, USER]}
    answer = await request(make_app(sessions), "POST", "/api/chat", body)
    assert answer.status == 200


async def test_large_body_is_read_beside_the_event_loop() -> None:
    """Others are served meanwhile; a small one is not worth a thread."""
    for size, in_thread in ((LARGE - 1, False), (LARGE, True)):
        reader = await off_loop(b" " * size, threading.get_ident)
        assert (reader != threading.get_ident()) == in_thread


async def test_send_refuses_a_body_that_it_cannot_read(subtests: pytest.Subtests) -> None:
    """400 with a sentence; no run is started."""
    for name, body in BAD_BODIES.items():
        with subtests.test(name):
            sessions = FakeSessions()
            answer = await request(make_app(sessions), "POST", "/api/chat", body)
            assert (answer.status, answer.error) == (400, "invalid_request")
            assert answer.json()["error"]["message"].startswith("unable to ")
            assert sessions.calls == []


async def test_send_refuses_a_field_that_it_cannot_use(subtests: pytest.Subtests) -> None:
    """400 with a sentence; no run is started."""
    for name, fields in BAD_FIELDS.items():
        with subtests.test(name):
            sessions = FakeSessions()
            answer = await request(make_app(sessions), "POST", "/api/chat", {**BODY, **fields})
            assert (answer.status, answer.error) == (400, "invalid_request")
            assert sessions.calls == []


UNUSABLE = [
    ("GET", "/api/chat/../stream"),
    ("GET", "/api/chat/{other}/stream"),
    ("GET", "/api/chat/a\x00b/stream"),
    ("GET", f"/api/chat/{'x' * 10_000}/stream"),
    ("GET", "/api/chat/c1/stream?runId=%7B%7D"),
    ("GET", "/api/chat/c1/stream?after=e:1-0"),
    ("GET", "/api/chat/c1/stream?after=-1"),
    ("GET", "/api/chat/c1/stream?startIndex=first"),
    ("GET", "/api/chat/..~run_1/stream?startIndex=0"),
    ("GET", "/api/chat/c1/stream?v=latest"),
    ("GET", "/api/chat/c1/stream?protocol=carrier-pigeon"),
    ("POST", "/api/chat/{other}/stop"),
    ("POST", "/api/chat/{other}/select"),
    ("GET", "/api/chat/{other}"),
    ("DELETE", "/api/chat/{other}"),
    ("GET", "/api/chat/c1/events?after=17"),
    ("GET", "/api/chat/{other}/events"),
    ("GET", "/api/chats?limit=all"),
    ("GET", "/api/chats?limit=0"),
    ("GET", "/api/chats?before=yesterday"),
]


async def test_request_with_an_unusable_id_or_parameter_is_refused(
    subtests: pytest.Subtests,
) -> None:
    """400 with a sentence; the sessions never hear of it."""
    for method, target in UNUSABLE:
        with subtests.test(f"{method} {target[:80]}"):
            sessions = FakeSessions()
            answer = await request(make_app(sessions), method, target)
            assert (answer.status, answer.error) == (400, "invalid_request")
            assert sessions.calls == []


async def test_send_checks_its_parameters_before_it_starts_a_run(
    subtests: pytest.Subtests,
) -> None:
    """A run whose answer cannot be written is not begun."""
    for query in ("?v=latest", "?protocol=morse"):
        with subtests.test(query):
            sessions = FakeSessions()
            answer = await request(make_app(sessions), "POST", f"/api/chat{query}", BODY)
            assert answer.status == 400
            assert sessions.calls == []


async def test_stop_refuses_what_it_cannot_read(subtests: pytest.Subtests) -> None:
    """A stop that names something unusable stops nothing."""
    for body in (b"{", b"[]", b'{"runId": 1}', b'{"runId": "{}"}', b'{"messageId": ""}'):
        with subtests.test(body.decode()):
            sessions = FakeSessions()
            answer = await request(make_app(sessions), "POST", "/api/chat/c1/stop", body)
            assert (answer.status, answer.error) == (400, "invalid_request")
            assert sessions.calls == []


async def test_unknown_address_or_method_is_answered_as_json(subtests: pytest.Subtests) -> None:
    """Every error has the same shape."""
    for method, target, status, code in (
        ("GET", "/api/nothing", 404, "not_found"),
        ("PUT", "/api/chat/c1", 405, "method_not_allowed"),
        ("PUT", "/api/chat", 405, "method_not_allowed"),
    ):
        with subtests.test(f"{method} {target}"):
            answer = await request(make_app(FakeSessions()), method, target)
            assert (answer.status, answer.error) == (status, code)


async def test_body_over_the_limit_is_refused_by_its_announced_length() -> None:
    """413 before a byte of it is read."""
    app = make_app(FakeSessions(), server=ServerSettings(max_body_bytes=1024))

    async def receive() -> Any:
        raise AssertionError("the body was read")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await app(http_scope("POST", "/api/chat", {"content-length": "1025"}), receive, send)
    assert sent[0]["status"] == 413
    assert b'"too_large"' in sent[1]["body"]


async def test_body_over_the_limit_is_refused_as_soon_as_it_is_over() -> None:
    """A body of unknown length is not read to its end."""
    app = make_app(FakeSessions(), server=ServerSettings(max_body_bytes=1024))
    reads = 0

    async def receive() -> Any:
        nonlocal reads
        reads += 1
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"x" * 512, "more_body": True}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await app(http_scope("POST", "/api/chat"), receive, send)
    assert sent[0]["status"] == 413
    assert reads == 3


async def test_body_that_is_cut_short_starts_nothing() -> None:
    """A client that goes away in the middle of its request has not sent one."""
    sessions = FakeSessions()
    messages: list[Any] = [
        {"type": "http.disconnect"},
        {"type": "http.request", "body": b'{"id"', "more_body": True},
    ]

    async def receive() -> Any:
        return messages.pop()

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await make_app(sessions)(http_scope("POST", "/api/chat"), receive, send)
    assert sent[0]["status"] == 400
    assert sessions.calls == []
