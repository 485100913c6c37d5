"""A provider that is added as CONTRIBUTING.md says: `tests/toy_provider`, and its row."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from midstream import Agent, Run, create_app
from midstream.errors import SettingsError
from midstream.providers.registry import ROWS, row_of
from midstream.settings.provider_kinds import KINDS, ProviderKind
from midstream.settings.source import load_settings
from tests.support.in_process import InProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from midstream.settings.sections import Settings
    from tests.unit.gateway.api.fakes import Answer

pytestmark = pytest.mark.anyio

SETTINGS: Final = """
[agents.toy]
provider = "simulator-toy"
model = "sim-instant"

[providers.loud]
kind = "toy"
base_url = "https://loud.example"
"""
JSON: Final = {"content-type": "application/json", "x-api-key": "k"}
HELD: Final = "[[tokens=8]] [[hold=door after=3]]"


TOY: Final = ProviderKind(
    name="toy",
    code="tests.toy_provider.row",
    key_variable="TOY_API_KEY",
    models=("loud",),
    simulator="simulator-toy",
)


@pytest.fixture
def row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row, and the registry as that row makes it."""
    monkeypatch.setitem(KINDS, TOY.name, TOY)
    monkeypatch.setitem(ROWS, TOY.name, row_of(TOY))


@pytest.fixture
def settings(row: None, redis_url: str, tmp_path: Path) -> Settings:
    """An agent of the toy's, simulated, and another server."""
    file = tmp_path / "midstream.toml"
    file.write_text(SETTINGS)
    return load_settings(file, {"REDIS_URL": redis_url})


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[InProcess]:
    """A gateway with both."""
    gateway = create_app(settings)
    async with gateway.open():
        yield InProcess(gateway)


def sent(chat: str, text: str) -> dict[str, object]:
    message = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": text}]}
    return {"id": chat, "messages": [message], "trigger": "submit-message"}


def chunks_in(answer: Answer) -> list[Any]:
    lines = (line for line in answer.body.split(b"\n") if line.startswith(b"data: {"))
    return [json.loads(line.removeprefix(b"data: ")) for line in lines]


async def call(app: InProcess, chat: str, says: str, *, stream: bool = True) -> Answer:
    """Make a call of the toy's own API, of which a session is to know."""
    body = {"model": "sim-instant", "turns": [{"who": "user", "says": says}], "stream": stream}
    headers = {**JSON, "x-midstream-session": chat, "x-midstream-end": "true"}
    return await app.ask("POST", "/proxy/simulator-toy/speak", body, headers, whole=True)


async def session_when(app: InProcess, chat: str, holds: Callable[[Any], bool]) -> Any:
    """Wait until a chat is as a test wants it; return it."""
    async with asyncio.timeout(30):
        while True:
            answer = await app.ask("GET", f"/api/chat/{chat}?orEmpty=true")
            if holds(session := json.loads(answer.body)):
                return session
            await asyncio.sleep(0.01)


def is_open(session: Any) -> bool:
    return any(run["state"] == "open" for run in session["runs"])


def has_ended(session: Any) -> bool:
    return bool(session["runs"]) and not is_open(session)


async def test_its_agent_answers_a_chat(app: InProcess) -> None:
    """From the message to the last chunk, through its prompt and its translator."""
    answer = await app.ask("POST", "/api/chat", sent("c1", "[[tokens=5]]"), JSON, whole=True)
    chunks = chunks_in(answer)
    assert [chunk["type"] for chunk in chunks if chunk["type"] != "text-delta"] == [
        *("start", "start-step", "text-start", "text-end", "finish-step", "finish")
    ]
    said = "".join(chunk["delta"] for chunk in chunks if chunk["type"] == "text-delta")
    events = chunks_in(await call(app, "c2", "[[tokens=5]]"))
    assert said == "".join(event.get("word", "") for event in events)
    assert events[-1] == {"over": True, "words": 5}


async def test_its_agent_is_stopped(app: InProcess) -> None:
    """In the middle of an answer."""
    begun = await app.ask("POST", "/api/chat", sent("c1", HELD), JSON)
    assert begun.status == 200
    stopped = await app.ask("POST", "/api/chat/c1/stop", {}, JSON)
    assert len(json.loads(stopped.body)["stopped"]) == 1
    session = await session_when(app, "c1", has_ended)
    assert session["runs"][-1]["outcome"] == "stopped"
    assert session["messages"][-1]["role"] == "assistant"


@pytest.mark.parametrize("stream", [True, False])
async def test_its_call_through_the_proxy_is_a_run(app: InProcess, stream: bool) -> None:
    """The caller has the toy's own bytes, and the session the message."""
    answer = await call(app, "c1", "[[tokens=5]]", stream=stream)
    assert answer.status == 200
    asked, said = (await session_when(app, "c1", has_ended))["messages"]
    assert asked["parts"] == [{"type": "text", "text": "[[tokens=5]]"}]
    (text,) = [part["text"] for part in said["parts"] if part["type"] == "text"]
    if stream:
        events = chunks_in(answer)
        assert events[-1] == {"over": True, "words": 5}
        assert "".join(event.get("word", "") for event in events) == text
    else:
        assert json.loads(answer.body) == {"text": text, "words": 5}


async def test_its_stopped_call_ends_as_it_ends_its_own(app: InProcess) -> None:
    """With the event that its SDK waits for."""
    calling = asyncio.create_task(call(app, "c1", HELD))
    await session_when(app, "c1", is_open)
    await app.ask("POST", "/api/chat/c1/stop", {}, JSON)
    events = chunks_in(await calling)
    assert (events[-1]["over"], events[-1]["midstream_stopped"]) == (True, True)


async def test_its_callers_are_refused_in_its_own_words(app: InProcess) -> None:
    """An error of ours is one that its SDK knows."""
    body = {"turns": 7}
    headers = {**JSON, "x-midstream-session": "c1"}
    refused = await app.ask("POST", "/proxy/loud/speak", body, headers, whole=True)
    assert refused.status == 400
    assert set(json.loads(refused.body)) == {"trouble", "code"}


async def test_agents_call_its_sdk_with_its_prompt(settings: Settings) -> None:
    """`run.prompt` knows its name."""
    prompts: list[Any] = []

    async def answer(run: Run) -> None:
        prompts.append(run.prompt("toy"))

    gateway = create_app(settings, agents=[Agent("a", answer)])
    async with gateway.open():
        await InProcess(gateway).ask("POST", "/api/chat", sent("c1", "Hi"), JSON, whole=True)
    assert prompts == [{"turns": [{"who": "user", "says": "Hi"}]}]


def test_its_settings_are_unknown_without_its_row(tmp_path: Path) -> None:
    """So the tests above show what the row does."""
    file = tmp_path / "midstream.toml"
    file.write_text(SETTINGS)
    with pytest.raises(SettingsError, match=r"providers\.loud\.kind"):
        load_settings(file, {})
