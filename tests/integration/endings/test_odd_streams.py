"""Streams as servers send them: marks, heartbeats, side information of any shape, and none at all.

Through the whole gateway, with gaps between the bytes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from midstream.providers.failures.faults import Fault
from tests.integration.endings.answers import APIS, chat, end, text, wire
from tests.integration.endings.conftest import AGENTS
from tests.support.provider_calls import body_for
from tests.support.scripted import EOF, OPEN, Act, named, sse
from tests.support.sessions import Session, Transcript, new_chat_id
from tests.support.snapshots import look, said

if TYPE_CHECKING:
    from tests.support.gateway import GatewayProcess
    from tests.support.scripted import Scripted

pytestmark = pytest.mark.anyio

GAP = 0.003

WHOLE = {
    "chat": {
        "id": "c",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"content": "All said."}, "finish_reason": "stop"}],
    },
    "responses": {
        "id": "r",
        "status": "completed",
        "output": [
            {
                "id": "m",
                "type": "message",
                "content": [{"type": "output_text", "text": "All said."}],
            }
        ],
    },
    "messages": {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": "All said."}],
        "stop_reason": "end_turn",
        "usage": {},
    },
}


def spread(frames: list[bytes], between: list[bytes]) -> list[Act]:
    """Put frames between an answer's, with gaps."""
    script: list[Act] = []
    for frame in frames:
        script += [*between, GAP, frame]
    return script


async def ask(
    gateway: GatewayProcess, provider: Scripted, api: str, script: list[Act], head: str = ""
) -> Transcript:
    """Play a script to an agent."""
    session = Session(gateway.at)
    provider.play(session.id, script, head=head)
    return await session.send(session.id, extra={"agent": AGENTS[api]})


async def proxied(
    gateway: GatewayProcess, provider: Scripted, api: str, script: list[Act], head: str = ""
) -> Any:
    """Play a script to a caller of the proxy; return the session."""
    session = new_chat_id()
    provider.play(session, script, head=head)
    path = {"chat": "chat/completions", "responses": "responses", "messages": "messages"}[wire(api)]
    async with gateway.at.request(
        "POST",
        f"/proxy/{AGENTS[api]}/v1/{path}",
        body_for(wire(api), session),
        headers={"authorization": "Bearer sk-callers-own-key", "x-midstream-session": session},
    ) as response:
        await response.body()
    return await look(gateway.at, session)


@pytest.mark.parametrize("api", APIS)
async def test_marks_and_heartbeats_are_passed_over_wherever_they_stand(
    gateway: GatewayProcess, provider: Scripted, api: str
) -> None:
    """`[DONE]`, `null`, empty data and comments, before, between and behind the events."""
    odd = [b"data: [DONE]\n\n", b"data: null\n\n", b"data: \n\n", b"data:\n\n", b": hi\n\n"]
    frames = [*text(api, "All ", "said."), *end(api)]
    for each in odd:
        script: list[Act] = [*spread(frames, [each]), each, EOF]
        seen = await ask(gateway, provider, api, list(script))
        assert (seen.text, seen.chunks[-1]["finishReason"]) == ("All said.", "stop"), each
        kept = await proxied(gateway, provider, api, list(script))
        assert (kept["runs"][0]["outcome"], said(kept)) == ("finished", "All said."), each


SIDE: dict[str, list[dict[str, Any]]] = {
    "chat": [
        {**chat({"content": "All said."}, None), "id": 7, "model": None, "created": 1.5},
        {**chat({}, "brand-new"), "usage": {"prompt_tokens": 3.0, "completion_tokens": None}},
    ],
    "responses": [
        {"type": "response.created"},
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message"}},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "All said."},
        {"type": "response.output_item.done", "output_index": 0, "item": {"type": "message"}},
        {
            "type": "response.incomplete",
            "response": {"incomplete_details": {"reason": "brand-new"}, "usage": "many"},
        },
    ],
    "messages": [
        {"type": "message_start", "message": {"usage": None}},
        {"type": "content_block_start", "content_block": {"type": "text"}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "All said."}},
        {"type": "content_block_stop"},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "brand-new"},
            "usage": {"output_tokens": 4.0},
        },
        {"type": "message_stop"},
    ],
}


@pytest.mark.parametrize("api", APIS)
async def test_side_information_never_decides_over_an_answer(
    gateway: GatewayProcess, provider: Scripted, api: str
) -> None:
    """Ids, models, counts and reasons of any shape, or none."""
    frames = named(*SIDE[wire(api)]) if wire(api) != "chat" else sse(*SIDE[wire(api)], "[DONE]")
    seen = await ask(gateway, provider, api, [*spread(frames, []), EOF])
    assert (seen.text, seen.chunks[-1]["finishReason"]) == ("All said.", "other")
    kept = await proxied(gateway, provider, api, [*spread(frames, []), EOF])
    assert (kept["runs"][0]["outcome"], said(kept)) == ("finished", "All said.")
    metadata = json.dumps([part.get("providerMetadata") for part in kept["messages"][1]["parts"]])
    assert "itemId" not in metadata


HTML = b"<html>\n\n<body>Just a moment...</body>\n\n</html>"
NO_ANSWERS: dict[str, tuple[list[Act], str, Fault]] = {
    "a page": ([HTML, EOF], "", Fault.NO_STREAM),
    "a page that says so": ([HTML], "200 OK\r\ncontent-type: text/html", Fault.NO_STREAM),
    "nothing": ([EOF], "", Fault.EMPTY),
    "only the mark": ([GAP, b"data: [DONE]\n\n", GAP, EOF], "", Fault.EMPTY),
    "only comments": ([b": PROCESSING\n\n", GAP, b": PROCESSING\n\n", EOF], "", Fault.EMPTY),
    "an error as JSON": (
        [b'{"error":{"message":"quota","type":"insufficient_quota"}}'],
        "200 OK\r\ncontent-type: application/json",
        Fault.BILLING,
    ),
    "JSON of something else": (
        [b'{"hello":"world"}'],
        "200 OK\r\ncontent-type: application/json",
        Fault.NO_STREAM,
    ),
}


@pytest.mark.parametrize("api", APIS)
async def test_what_is_no_stream_fails_with_the_sentence_of_its_kind(
    gateway: GatewayProcess, provider: Scripted, api: str
) -> None:
    """With status 200 all of them."""
    for name, (script, head, fault) in NO_ANSWERS.items():
        seen = await ask(gateway, provider, api, script, head)
        (error,) = [chunk for chunk in seen.chunks if chunk["type"] == "error"]
        assert error["errorText"] == fault.error().message, name
        kept = await proxied(gateway, provider, api, script, head)
        assert kept["runs"][0]["outcome"] == "failed", name


@pytest.mark.parametrize("api", APIS)
async def test_answer_as_one_object_or_under_another_media_type_is_read(
    gateway: GatewayProcess, provider: Scripted, api: str
) -> None:
    """Some servers do not stream, and some do not say that they do."""
    whole = json.dumps(WHOLE[wire(api)], indent=1).encode()
    stream = b"".join([*text(api, "All said."), *end(api)])
    for content in (whole, stream, stream.rstrip(b"\n"), stream.replace(b"\n", b"\r")):
        for kind in ("application/json", "application/octet-stream", "text/plain"):
            head = f"200 OK\r\ncontent-type: {kind}"
            seen = await ask(gateway, provider, api, [content], head)
            assert (seen.text, seen.chunks[-1]["finishReason"]) == ("All said.", "stop"), content
            kept = await proxied(gateway, provider, api, [content], head)
            assert (kept["runs"][0]["outcome"], said(kept)) == ("finished", "All said."), content


def failing(api: str) -> list[list[bytes]]:
    """Return the shapes that errors in a stream have."""
    told = {"message": "slow down", "type": "rate_limit_error", "code": "rate_limit_exceeded"}
    frames = [
        sse({"error": told}),
        sse({"type": "error", "error": told}),
        [b"event: error\ndata: " + json.dumps(told).encode() + b"\n\n"],
        [b"event: error\ndata: " + json.dumps({"error": told}).encode() + b"\n\n"],
        [b"error: " + json.dumps(told).encode() + b"\n\n"],
        [b'event: error\ndata: {"code":429}\n\n'],
    ]
    if wire(api) == "chat":
        frames += [
            sse({**chat(), "choices": [], "error": told}),
            sse({**chat({"content": ""}, "error"), "error": told}),
            sse({"object": "error", **told}),
        ]
    if api == "responses":
        response = {"id": "resp_1", "status": "failed", "error": told}
        frames += [
            sse({**told, "type": "error"}),
            named({"type": "response.failed", "response": response}),
        ]
    return frames


@pytest.mark.parametrize("api", APIS)
async def test_error_in_a_stream_is_a_failure_wherever_it_stands(
    gateway: GatewayProcess, provider: Scripted, api: str
) -> None:
    """In any shape, behind half an answer; what was said stays."""
    sentence = Fault.RATE_LIMITED.error().message
    half = text(api, "Half")[:-1] if wire(api) != "chat" else text(api, "Half")
    if api == "responses":
        half = text(api, "Half")[:4]
    for frames in failing(api):
        script: list[Act] = [*half, GAP, *frames, OPEN]
        seen = await ask(gateway, provider, api, script)
        (error,) = [chunk for chunk in seen.chunks if chunk["type"] == "error"]
        assert (seen.text, error["errorText"]) == ("Half", sentence), frames
        if frames[0].startswith(b"event: response.failed"):
            continue
        kept = await proxied(gateway, provider, api, [*script[:-1], EOF])
        assert (kept["runs"][0]["outcome"], said(kept)) == ("failed", "Half"), frames


async def test_failed_response_without_an_error_says_so(
    gateway: GatewayProcess, provider: Scripted
) -> None:
    """It is no answer that is finished."""
    failed = named({"type": "response.failed", "response": {"status": "failed", "error": None}})
    seen = await ask(gateway, provider, "responses", [*text("responses", "Half"), *failed, EOF])
    assert seen.chunks[-2]["errorText"] == Fault.FAILED.error().message
