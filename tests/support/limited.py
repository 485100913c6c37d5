"""Three gateways over one Redis, with limits: each request goes to the next one."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import msgspec

from midstream import Agent, Run, create_app
from midstream.settings.connections import ConnectionSettings
from midstream.settings.limits import LimitSettings
from midstream.settings.sections import RedisSettings, Settings
from tests.support.in_process import InProcess

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.gateway.api.fakes import Answer

PROXY = ConnectionSettings(trusted_proxies=("127.0.0.1/32",))
"""Trusts the address from which the tests send."""


class Answers:
    """An agent whose answers wait until the test lets them end.

    Attributes:
        text: the text of its answers.
        metadata: their metadata.
    """

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.text = "Well"
        self.metadata: dict[str, object] = {}

    async def __call__(self, run: Run) -> None:
        await run.text(self.text)
        await run.metadata(self.metadata)
        await self.may_end.wait()


class Gateways:
    """Three gateways over one Redis; each request goes to the next one."""

    def __init__(self, settings: Settings) -> None:
        self.agent = Answers()
        self._asked = 0
        self._settings = settings
        self._stack = AsyncExitStack()
        self.all: list[InProcess] = []

    async def __aenter__(self) -> Gateways:
        for _ in range(3):
            made = create_app(self._settings, agents=[Agent("slow", self.agent)])
            await self._stack.enter_async_context(made.open())
            self.all.append(InProcess(made))
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.agent.may_end.set()
        await self._stack.aclose()

    async def ask(
        self, caller: str, method: str, target: str, body: object = None, **options: Any
    ) -> Answer:
        """Make a request as the caller of an address."""
        return await self.ask_as(
            {"x-forwarded-for": f"spoofed, {caller}"}, method, target, body, **options
        )

    async def ask_as(
        self, headers: dict[str, str], method: str, target: str, body: object = None, **options: Any
    ) -> Answer:
        """Make a request."""
        self._asked += 1
        gateway = self.all[self._asked % len(self.all)]
        headers = {"content-type": "application/json", **headers}
        return await gateway.ask(method, target, body, headers, **options)

    async def send(self, caller: str, chat: str, **more: Any) -> Answer:
        """Send a message to a chat; leave after the first event of its answer."""
        return await self.ask(caller, "POST", "/api/chat", sent(chat, **more))


def settings_of(redis_url: str, folder: Path, limits: LimitSettings) -> Settings:
    """Return settings with these limits, in which the address in a proxy's header counts."""
    redis = RedisSettings(url=redis_url, data_dir=str(folder))
    return Settings(redis=redis, connections=PROXY, limits=limits)


def sent(chat: str, text: str = "Hi", **more: object) -> dict[str, object]:
    """Return the body of a send."""
    message = {"id": f"u-{chat}", "role": "user", "parts": [{"type": "text", "text": text}]}
    return {"id": chat, "messages": [message], "trigger": "submit-message", **more}


def told(answer: Answer) -> dict[str, Any]:
    """Return the error in an answer."""
    error: dict[str, Any] = msgspec.json.decode(answer.body)["error"]
    return error


def limits(**over: Any) -> LimitSettings:
    """Return limits of which only the given ones are set, and which wait for a slow Redis."""
    return msgspec.structs.replace(
        LimitSettings(
            sends_per_minute=0, send_burst=0, open_runs=0, open_streams=0, redis_wait_ms=5_000
        ),
        **over,
    )
