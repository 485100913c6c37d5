"""Halves of characters and bytes that are no text, from providers, backends, and clients."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.endings.answers import APIS, call, end, text
from tests.integration.endings.conftest import AGENTS
from tests.integration.endings.test_odd_streams import GAP, ask, proxied
from tests.support.scripted import EOF, named, sse
from tests.support.sessions import Session
from tests.support.snapshots import look, said

if TYPE_CHECKING:
    from tests.support.gateway import GatewayProcess
    from tests.support.scripted import Act, Scripted

pytestmark = pytest.mark.anyio

HIGH, LOW, WHOLE = "\ud83d", "\ude00", "\U0001f600"


def spoken(api: str, *words: str) -> list[Act]:
    """Return a whole answer, a gap before each frame."""
    script: list[Act] = []
    for frame in (*text(api, *words), *end(api)):
        script += [GAP, frame]
    return [*script, EOF]


@pytest.mark.parametrize("api", APIS)
async def test_character_that_is_cut_in_two_is_one(
    gateway: GatewayProcess, provider: Scripted, api: str
) -> None:
    """For agents and callers; a half alone is U+FFFD, before its part ends."""
    for words, whole in (
        (("a" + HIGH, LOW + "b"), f"a{WHOLE}b"),
        ((HIGH, LOW, HIGH, LOW), WHOLE * 2),
        (("a" + HIGH, "b"), "a\ufffdb"),
        (("a" + LOW, HIGH), "a\ufffd\ufffd"),
    ):
        script = spoken(api, *words)
        seen = await ask(gateway, provider, api, list(script))
        assert (seen.text, seen.chunks[-1]["finishReason"]) == (whole, "stop")
        kept = await proxied(gateway, provider, api, list(script))
        assert (kept["runs"][0]["outcome"], said(kept)) == ("finished", whole)


@pytest.mark.parametrize("api", APIS)
async def test_byte_that_is_no_text_is_replaced(
    gateway: GatewayProcess, provider: Scripted, api: str
) -> None:
    """In words; nothing else is lost."""
    script = [
        act.replace(b"@", b"\xff\xfe") if isinstance(act, bytes) else act
        for act in spoken(api, "a@", "b")
    ]
    seen = await ask(gateway, provider, api, list(script))
    assert (seen.text, seen.chunks[-1]["finishReason"]) == ("a\ufffd\ufffdb", "stop")
    kept = await proxied(gateway, provider, api, list(script))
    assert said(kept) == "a\ufffd\ufffdb"


BAD = (rb"\ud83d", b"\xff")


def with_bad(api: str, bad: bytes) -> list[bytes]:
    """Return an answer whose usage, which is kept raw, holds something that is no text."""
    note = b'"note": "' + bad + b'", '
    frames = [*text(api, "All said."), *end(api)]
    return [frame.replace(b'"output_tokens"', note + b'"output_tokens"') for frame in frames]


@pytest.mark.parametrize("api", APIS)
async def test_what_is_kept_raw_is_text_before_it_is_stored(
    gateway: GatewayProcess, provider: Scripted, api: str
) -> None:
    """Usage, for example; a good run of the same session follows."""
    for bad in BAD:
        session = Session(gateway.at)
        provider.play(session.id, [*with_bad(api, bad), EOF], spoken(api, "Again."))
        await session.send(session.id, extra={"agent": AGENTS[api]})
        kept = await look(gateway.at, session.id)
        json.dumps(kept, ensure_ascii=False).encode()
        assert kept["runs"][0]["outcome"] == "finished"
        await session.send(f"{session.id} again", extra={"agent": AGENTS[api]})
        assert said(await look(gateway.at, session.id)) == "Again."


@pytest.mark.parametrize("api", APIS)
async def test_tools_input_with_half_a_character_is_text(
    gateway: GatewayProcess, provider: Scripted, api: str
) -> None:
    """Escaped once more in the JSON of its arguments."""
    session = Session(gateway.at)
    provider.play(
        session.id,
        [*call(api, "c1", r'{"city": "\ud83d"}'), *end(api, called=True), EOF],
        spoken(api, "Again."),
    )
    seen = await session.send(session.id, extra={"agent": AGENTS[api]})
    (output,) = [c["output"] for c in seen.chunks if c["type"] == "tool-output-available"]
    assert output == "sunny in \ufffd"
    assert seen.text == "Again."


async def test_annotations_and_outputs_of_a_provider_are_text(
    gateway: GatewayProcess, provider: Scripted
) -> None:
    """They are kept as they come, but for that."""
    item = {"type": "mcp_call", "id": "mcp_1", "name": "m", "server_label": "s", "arguments": "{}"}
    citation = {"type": "url_citation", "start_index": 0, "end_index": 1, "url": "https://x.y"}
    events = named(
        {"type": "response.created", "response": {}},
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": {**item, "output": "@"},
        },
    )
    said_frames = text("responses", "All said.")[1:]
    cited = named(
        {
            "type": "response.output_text.annotation.added",
            "output_index": 0,
            "annotation": {**citation, "title": "@"},
        }
    )
    frames = [*events, *said_frames[:-1], *cited, said_frames[-1], *end("responses")]
    for bad in BAD:
        session = Session(gateway.at)
        script: list[Act] = [frame.replace(b"@", bad) for frame in frames]
        provider.play(session.id, [*script, EOF], spoken("responses", "Again."))
        await session.send(session.id, extra={"agent": AGENTS["responses"]})
        kept = json.dumps((await look(gateway.at, session.id))["messages"][1], ensure_ascii=False)
        assert kept.count("\ufffd") >= 2
        await session.send(f"{session.id} again", extra={"agent": AGENTS["responses"]})
        assert said(await look(gateway.at, session.id)) == "Again."


async def test_url_agents_halves_are_put_together(
    gateway: GatewayProcess, provider: Scripted
) -> None:
    """As a browser does, which stock clients run in."""
    session = Session(gateway.at)
    parts: list[Any] = [{"type": "start"}, {"type": "text-start", "id": "0"}]
    parts += [{"type": "text-delta", "id": "0", "delta": each} for each in ("a" + HIGH, LOW, HIGH)]
    parts += [{"type": "text-end", "id": "0"}, {"type": "finish"}]
    script: list[Act] = []
    for frame in sse(*parts, "[DONE]"):
        script += [GAP, frame]
    provider.play(session.id, [*script, EOF])
    seen = await session.send(session.id, extra={"agent": "backend"})
    assert (seen.text, "error" in seen.types) == (f"a{WHOLE}\ufffd", False)


async def test_client_whose_history_holds_half_a_character_can_send(
    gateway: GatewayProcess, provider: Scripted
) -> None:
    """Over HTTP, and to a proxied call; what is stored is text."""
    session = Session(gateway.at)
    provider.play(session.id, spoken("chat", "Again."))
    body = session.body(f"{session.id} {HIGH}", extra={"agent": AGENTS["chat"]})
    for _ in range(2):
        async with gateway.at.request("POST", "/api/chat", json.dumps(body).encode()) as response:
            assert response.status == 200, await response.body()
            await response.body()
        history = (await look(gateway.at, session.id))["messages"]
        # A copy of its own, which was never ours.
        history[1]["parts"][-1]["text"] += LOW
        more = session.body(f"{session.id} {HIGH}", extra={"agent": AGENTS["chat"]})
        body = {**more, "messages": [*history, *more["messages"]]}
    kept = await look(gateway.at, session.id)
    assert (said(kept), kept["messages"][0]["parts"][0]["text"]) == (
        "Again.",
        f"{session.id} \ufffd",
    )

    session = Session(gateway.at)
    provider.play(session.id, spoken("chat", "Again."))
    asked = {"role": "user", "content": f"{session.id} {HIGH}"}
    async with gateway.at.request(
        "POST",
        f"/proxy/{AGENTS['chat']}/v1/chat/completions",
        json.dumps({"model": "m", "stream": True, "messages": [asked]}).encode(),
        headers={"authorization": "Bearer any", "x-midstream-session": session.id},
    ) as response:
        assert response.status == 200, await response.body()
        await response.body()
    kept = await look(gateway.at, session.id)
    assert (said(kept), kept["messages"][0]["parts"][0]["text"]) == (
        "Again.",
        f"{session.id} \ufffd",
    )
