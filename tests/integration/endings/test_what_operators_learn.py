"""A provider's failure: its own words in the log, and a sentence of ours for people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from midstream.providers.failures.faults import Fault
from tests.integration.endings.answers import APIS, text, wire
from tests.integration.endings.test_odd_streams import ask, proxied
from tests.support.gateway import API_KEYS, GatewayProcess
from tests.support.processes import eventually, free_port
from tests.support.scripted import EOF, SILENCE, sse
from tests.support.sessions import Session

if TYPE_CHECKING:
    from tests.support.scripted import Scripted
    from tests.support.sessions import Transcript

pytestmark = pytest.mark.anyio


def told(**fields: Any) -> bytes:
    """Return an error's body."""
    return json.dumps({"type": "error", "error": {"message": "It went wrong.", **fields}}).encode()


REFUSALS: list[tuple[int, bytes, Fault]] = [
    (400, told(type="invalid_request_error", code="context_length_exceeded"), Fault.TOO_LONG),
    (400, told(type="exceed_context_size_error", code=400), Fault.TOO_LONG),
    (400, told(type="invalid_request_error", message="prompt is too long: 9 > 8"), Fault.TOO_LONG),
    (413, told(type="request_too_large"), Fault.TOO_LARGE),
    (429, told(type="insufficient_quota", code="insufficient_quota"), Fault.BILLING),
    (429, told(type="rate_limit_error"), Fault.RATE_LIMITED),
    (401, told(type="authentication_error", code="invalid_api_key"), Fault.CREDENTIALS),
    (500, b"<html>oops</html>", Fault.FAILED),
]


def error_of(seen: Transcript) -> str:
    """Return what the person reads."""
    (error,) = [chunk for chunk in seen.chunks if chunk["type"] == "error"]
    return str(error["errorText"])


async def line_with(gateway: GatewayProcess, *words: str) -> str:
    """Return the warning that holds all of the words, once it is there."""

    def lines() -> list[str]:
        said = gateway.process.output().splitlines()
        return [each for each in said if " warning " in each and all(w in each for w in words)]

    await eventually(lambda: bool(lines()), f"a warning with {words}")
    return lines()[-1]


@pytest.mark.parametrize("api", APIS)
async def test_refused_request_is_told_by_type_and_code_and_quoted_to_the_operator(
    gateway: GatewayProcess, provider: Scripted, api: str
) -> None:
    """Status, the provider's message, the request's id; nothing of it to the person."""
    for number, (status, body, fault) in enumerate(REFUSALS):
        request_id = f"req_{api}_{number}"
        head = f"{status} No\r\ncontent-type: application/json\r\nx-request-id: {request_id}"
        seen = await ask(gateway, provider, api, [body], head)
        assert error_of(seen) == fault.error().message
        line = await line_with(gateway, request_id)
        assert f"status={status}" in line
        assert ("It went wrong." in line) or ("too long" in line) or ("oops" in line)

        head = head.replace(request_id, f"{request_id}_p")
        kept = await proxied(gateway, provider, api, [body], head)
        assert kept["runs"][0]["outcome"] == "failed"
        line = await line_with(gateway, f"{request_id}_p", "run_failing")
        assert fault.error().message in line


async def test_no_key_is_quoted(gateway: GatewayProcess, provider: Scripted) -> None:
    """However the provider repeats it: the gateway's own, a caller's, or one that looks so."""
    for api, key in (("chat", API_KEYS["OPENAI_API_KEY"]), ("messages", "sk-callers-own-key")):
        body = told(message=f"Wrong key {key}, or gsk_0123456789abcdef. " + "x" * 5000)
        head = f"401 No\r\ncontent-type: application/json\r\nx-request-id: req_key_{api}"
        if api == "chat":
            await ask(gateway, provider, api, [body], head)
        else:
            await proxied(gateway, provider, api, [body], head)
        line = await line_with(gateway, f"req_key_{api}", "Wrong key [redacted], or [redacted].")
        assert len(line) < 1000
    output = gateway.process.output()
    assert not any(key in output for key in (*API_KEYS.values(), "sk-callers", "gsk_0123"))


@pytest.mark.parametrize("api", APIS)
async def test_error_in_a_stream_is_quoted_too(
    gateway: GatewayProcess, provider: Scripted, api: str
) -> None:
    """With the id of the response's request."""
    message = f"The GPU of {api} is on fire."
    failed = sse({"type": "error", "error": {"type": "server_error", "message": message}})
    half = text(api, "Half")[:3]
    await ask(gateway, provider, api, [*half, *failed, EOF])
    await line_with(gateway, message, 'request_id="req_scripted"', "session=")
    kept = await proxied(gateway, provider, api, [*half, *failed, EOF])
    await line_with(gateway, message, 'request_id="req_scripted"', kept["runs"][0]["id"])


async def test_backend_of_a_url_agent_is_quoted(
    gateway: GatewayProcess, provider: Scripted
) -> None:
    """A status, and an error in its stream."""
    session = Session(gateway.at)
    head = "503 No\r\ncontent-type: text/plain\r\nx-request-id: req_backend"
    provider.play(session.id, [b"no model for you"], head=head)
    seen = await session.send(session.id, extra={"agent": "backend"})
    assert "status 503" in error_of(seen)
    await line_with(gateway, "req_backend", "status=503", "no model for you")

    session = Session(gateway.at)
    said = "The backend's own sentence."
    provider.play(session.id, [*sse({"type": "error", "errorText": said}), EOF])
    assert error_of(await session.send(session.id, extra={"agent": "backend"})) == said
    await line_with(gateway, said, session.id)


@pytest.mark.parametrize("api", APIS)
async def test_refused_connection_is_not_reachable_and_silence_is_silence(
    provider: Scripted, tmp_path_factory: pytest.TempPathFactory, api: str
) -> None:
    """The SDKs' transport reports both as a request that timed out."""
    path = "" if api == "messages" else "/v1"
    kind = {"chat": "openai-chat", "responses": "openai", "messages": "anthropic"}[wire(api)]
    common = {"kind": kind, "max_retries": 0}
    settings: Any = {
        "agents.gone": {"provider": "gone", "model": "m"},
        "agents.silent": {"provider": "silent", "model": "m"},
        "providers.gone": {**common, "base_url": f"http://127.0.0.1:{free_port()}{path}"},
        "providers.silent": {
            **common,
            "base_url": f"{provider.url}{path}",
            "first_byte_timeout_s": 0.5,
        },
    }
    gateway = GatewayProcess(tmp_path_factory.mktemp("away"), None, provider.url, settings)
    try:
        session = Session(gateway.at)
        seen = await session.send("x", extra={"agent": "gone"})
        assert error_of(seen) == Fault.UNREACHABLE.error().message
        await line_with(gateway, "run_failing", "Cannot connect to host")

        session = Session(gateway.at)
        provider.play(session.id, [], head=SILENCE)
        seen = await session.send(session.id, extra={"agent": "silent"})
        assert error_of(seen) == Fault.SILENT.error().message
    finally:
        gateway.end()
