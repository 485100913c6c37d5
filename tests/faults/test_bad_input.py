"""Bad input: a documented code and sentence, nothing changed in Redis, no other client harmed."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from itertools import product, starmap
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.support.fixtures import start_deployment
from tests.support.processes import eventually
from tests.support.sessions import Session, Transcript, new_chat_id, user_message
from tests.support.websocket import chunks_of, open_socket

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.support.fixtures import Deployment
    from tests.support.simulator import Simulator
    from tests.support.wire import Response

pytestmark = pytest.mark.anyio

KNOWN = "chat-known"
HELLO = user_message("hello", "u-hello")
GOOD: dict[str, Any] = {"id": "chat-new", "messages": [HELLO], "trigger": "submit-message"}


class Case(NamedTuple):
    """A request, and how it is refused."""

    status: int
    code: str
    method: str
    path: str
    body: object = None
    headers: Mapping[str, str] = MappingProxyType({})


def bad_post(status: int, code: str, body: object) -> Case:
    return Case(status, code, "POST", "/api/chat", body)


INVALID = (400, "invalid_request")
CASES = {
    "body is empty": bad_post(*INVALID, b""),
    "body is not JSON": bad_post(*INVALID, b'{"id": '),
    "body is not UTF-8": bad_post(*INVALID, b'{"id": "\xff\xfe"}'),
    "body is an array": bad_post(*INVALID, [GOOD]),
    "chat id is a number": bad_post(*INVALID, GOOD | {"id": 7}),
    "chat id is empty": bad_post(*INVALID, GOOD | {"id": ""}),
    "chat id is dots": bad_post(*INVALID, GOOD | {"id": ".."}),
    "chat id is 10 kB long": bad_post(*INVALID, GOOD | {"id": "x" * 10_240}),
    "chat id has braces": bad_post(*INVALID, GOOD | {"id": "a{b}c"}),
    "chat id has a NUL": bad_post(*INVALID, GOOD | {"id": "a\0b"}),
    "chat id has a newline": bad_post(*INVALID, GOOD | {"id": "a\nb"}),
    "chat id has a slash": bad_post(*INVALID, GOOD | {"id": "a/b"}),
    "no messages": bad_post(*INVALID, {"id": "chat-new", "trigger": "submit-message"}),
    "messages are empty": bad_post(*INVALID, GOOD | {"messages": []}),
    "messages are a text": bad_post(*INVALID, GOOD | {"messages": "hello"}),
    "message is a text": bad_post(*INVALID, GOOD | {"messages": ["hello"]}),
    "message id is empty": bad_post(*INVALID, GOOD | {"messages": [HELLO | {"id": ""}]}),
    "message id has braces": bad_post(*INVALID, GOOD | {"messages": [HELLO | {"id": "{x}"}]}),
    "role is unknown": bad_post(*INVALID, GOOD | {"messages": [HELLO | {"role": "robot"}]}),
    "message has no parts": bad_post(*INVALID, GOOD | {"messages": [HELLO | {"parts": []}]}),
    "parts are a text": bad_post(*INVALID, GOOD | {"messages": [HELLO | {"parts": "hello"}]}),
    "part is of a wrong shape": bad_post(
        *INVALID, GOOD | {"messages": [HELLO | {"parts": [{"type": "text", "text": 7}]}]}
    ),
    "trigger is unknown": bad_post(*INVALID, GOOD | {"trigger": "do-something"}),
    "messageId is a number": bad_post(*INVALID, GOOD | {"messageId": 7}),
    "onActive is unknown": bad_post(*INVALID, GOOD | {"onActive": "explode"}),
    "agent is unknown": bad_post(404, "agent_not_found", GOOD | {"agent": "nobody"}),
    "model is unknown": bad_post(404, "agent_not_found", GOOD | {"model": "gpt-0"}),
    "body is over the limit": bad_post(413, "too_large", b'"' + b"x" * (9 << 20) + b'"'),
    "assistant message was never written": bad_post(
        404,
        "message_not_found",
        GOOD | {"messages": [{"id": "a-x", "role": "assistant", "parts": HELLO["parts"]}, HELLO]},
    ),
    "continued message was never written": bad_post(
        404,
        "message_not_found",
        GOOD | {"messages": [HELLO, {"id": "a-x", "role": "assistant", "parts": HELLO["parts"]}]},
    ),
    "regenerated message is unknown": bad_post(
        404,
        "message_not_found",
        GOOD | {"id": KNOWN, "trigger": "regenerate-message", "messageId": "a-nowhere"},
    ),
    "version is no version": Case(
        *INVALID, "POST", "/api/chat", GOOD, {"x-ai-sdk-version": "newest"}
    ),
    "protocol is unknown": Case(*INVALID, "POST", "/api/chat?protocol=morse", GOOD),
    "stream position is no number": Case(
        *INVALID, "GET", f"/api/chat/{KNOWN}/stream", None, {"last-event-id": "abc"}
    ),
    "stream position is ahead of the run": Case(
        410, "not_recovered", "GET", f"/api/chat/{KNOWN}/stream?after=999999"
    ),
    "startIndex is no number": Case(*INVALID, "GET", f"/api/chat/{KNOWN}/stream?startIndex=x"),
    "feed position is no position": Case(*INVALID, "GET", f"/api/chat/{KNOWN}/events?after=7"),
    "path id has braces": Case(*INVALID, "GET", "/api/chat/%7Bx%7D/stream"),
    "path id has a NUL": Case(*INVALID, "GET", "/api/chat/a%00b"),
    "path id is 10 kB long": Case(*INVALID, "GET", f"/api/chat/{'x' * 10_240}"),
    "stop is not JSON": Case(*INVALID, "POST", f"/api/chat/{KNOWN}/stop", b"{"),
    "stop names a run by number": Case(*INVALID, "POST", f"/api/chat/{KNOWN}/stop", {"runId": 7}),
    "snapshot of nothing": Case(404, "session_not_found", "GET", "/api/chat/chat-nowhere"),
    "erase of nothing": Case(404, "session_not_found", "DELETE", "/api/chat/chat-nowhere"),
    "list limit is no number": Case(*INVALID, "GET", "/api/chats?limit=many"),
    "address is unknown": Case(404, "not_found", "GET", "/api/nothing"),
    "method is unknown": Case(405, "method_not_allowed", "PUT", "/api/chats", {}),
}


@pytest.fixture(scope="module")
def quiet(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A gateway in whose Redis nothing moves by itself: one session, nothing running."""
    with ExitStack() as stack:
        made = start_deployment(simulator, tmp_path_factory.mktemp("quiet"), stack)
        made.add_gateway()
        yield made


async def settled(deployment: Deployment) -> Session:
    """Return the known session, all of its runs ended."""
    session = Session(deployment.gateways[0].at, KNOWN)
    await session.send("hello", message_id=HELLO["id"])
    await eventually(session.is_ended, "the run's end is recorded")
    return session


async def test_bad_requests_are_refused_and_change_nothing(
    quiet: Deployment, subtests: pytest.Subtests
) -> None:
    """Each has its status, a code, and a sentence with advice."""
    at = quiet.gateways[0].at
    await settled(quiet)
    for name, case in CASES.items():
        before = quiet.redis.dump_all()
        with subtests.test(name):
            async with at.request(
                case.method, case.path, case.body, headers=case.headers
            ) as response:
                answer = await response.json()

            assert (response.status, answer["error"]["code"]) == (case.status, case.code)
            assert answer["error"]["message"].strip()
            assert "Traceback" not in json.dumps(answer)
            assert quiet.redis.dump_all() == before


async def test_foreign_position_of_the_feed_is_answered_with_a_snapshot(
    quiet: Deployment,
) -> None:
    """Another epoch is not recovered, and never guessed."""
    session = await settled(quiet)
    for after in ("deadbeef:1763855123456-0", "deadbeef:0-0"):
        path = f"/api/chat/{session.id}/events?after={after}"
        async with session.at.request("GET", path) as response:
            assert response.status == 200, await response.body()
            assert await first_of_log(response) == "snapshot"


async def first_of_log(response: Response) -> str | None:
    """Return the first event but of presence, which is no part of the log."""
    async for event in response.events():
        if event.event != "presence":
            return event.event
    return None


BAD_FRAMES: dict[str, str | bytes] = {
    "not JSON": "{",
    "binary": b"\x00\xff",
    "array": "[]",
    "text": '"send"',
    "no type": '{"requestId": "bad"}',
    "unknown type": '{"type": "explode", "requestId": "bad"}',
    "no request id": '{"type": "abort"}',
    "request id is a number": '{"type": "resume", "requestId": 7, "id": "x"}',
    "send without messages": '{"type": "send", "requestId": "bad", "id": "chat-new"}',
    "send with a bad chat id": json.dumps(
        {"type": "send", "requestId": "bad", **GOOD, "id": "..", "headers": {}, "body": {}}
    ),
    "send to an unknown agent": json.dumps(
        {"type": "send", "requestId": "bad", **GOOD, "headers": {}, "body": {"agent": "nobody"}}
    ),
    "resume with a negative sequence": json.dumps(
        {"type": "resume", "requestId": "bad", "id": KNOWN, "lastSequence": -7}
    ),
    "abort of a request nobody made": '{"type": "abort", "requestId": "bad"}',
}


async def test_bad_frames_harm_no_other_request_of_their_socket(
    quiet: Deployment, subtests: pytest.Subtests
) -> None:
    """Streams of the same socket continue, and end well."""
    at = quiet.gateways[0].at
    for name, frame in BAD_FRAMES.items():
        answer = quiet.simulator.held(tokens=5)
        with subtests.test(name):
            async with open_socket(at) as socket:
                good = await socket.send_message(new_chat_id(), answer.question)
                while (await socket.next_frame(good))["type"] != "chunk":
                    pass

                await socket.send_text(frame)
                await answer.release()
                frames = await socket.answer(good)

            assert frames[-1]["type"] == "end"
            assert chunks_of(frames)[-1]["finishReason"] == "stop"
            assert quiet.redis.dump("chat-new") == {}


async def test_bad_frames_that_name_themselves_are_told(
    quiet: Deployment, subtests: pytest.Subtests
) -> None:
    """A request id gets an `error` frame with a sentence."""
    named = [name for name, frame in BAD_FRAMES.items() if '"bad"' in str(frame)]
    for name in named[:-1]:
        with subtests.test(name):
            async with open_socket(quiet.gateways[0].at) as socket:
                await socket.send_text(BAD_FRAMES[name])

                frames = await socket.answer("bad")

            assert [frame["type"] for frame in frames] == ["error"]
            assert frames[0]["errorText"]


async def test_frame_over_the_limit_closes_the_socket_with_its_code(quiet: Deployment) -> None:
    """A WebSocket message over the limit: 4513, or WebSocket's own 1009."""
    async with open_socket(quiet.gateways[0].at) as socket:
        await socket.send_text('"' + "x" * (9 << 20) + '"')

        assert await socket.wait_closed() in {4513, 1009}


PROVIDER_FAILURES = ["http=400", "http=401", "http=429", "http=500", "http=529", "error=overloaded"]


async def test_provider_failures_are_error_chunks_that_leak_nothing(
    quiet: Deployment, subtests: pytest.Subtests
) -> None:
    """The run ends failed with a sentence; the message can be edited and sent again."""

    async def fail(agent: str, directive: str) -> tuple[Transcript, Transcript]:
        session = Session(quiet.gateways[0].at)
        choice = {"agent": agent}
        seen = await session.send(f"[[{directive} tokens=5]]", message_id="u-x", extra=choice)
        edit = {**choice, "messageId": "u-x"}
        return seen, await session.send("[[tokens=3]]", message_id="u-x", extra=edit)

    cases = list(product(("assistant", "responses", "completions"), PROVIDER_FAILURES))
    ended = await asyncio.gather(*starmap(fail, cases))
    for case, (seen, again) in zip(cases, ended, strict=True):
        with subtests.test(" ".join(case)):
            assert seen.done
            assert seen.types[-2:] == ["error", "finish"]
            sentence = seen.chunks[-2]["errorText"]
            assert sentence
            assert quiet.simulator.url not in sentence
            assert "sk-test" not in sentence
            assert again.chunks[-1]["finishReason"] == "stop"


async def test_provider_that_recovers_is_retried(quiet: Deployment) -> None:
    """The SDK retries a 429 or 529 before the answer; people do not see it."""
    session = Session(quiet.gateways[0].at)
    marker = new_chat_id()

    async with session.sending(f"{marker} [[http=529 times=1 tokens=3]]") as response:
        seen = await Transcript().read(response)

    assert seen.chunks[-1]["finishReason"] == "stop"
    assert len(await quiet.simulator.requests(marker)) == 2
