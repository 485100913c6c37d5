"""The live demo: its pages, and the means to kill the process that writes an answer.

Only an application with `server.demo` has these routes. The pages are what `demo-ui` builds
into `gateway/demo/`; they are read once, at the start.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import mimetypes
import os
import signal
from asyncio import to_thread
from importlib import resources
from typing import TYPE_CHECKING, Final

import msgspec
from litestar import Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.params import FromPath  # noqa: TC002 (Litestar reads the annotations)
from msgspec import Struct

from midstream.api import parameters
from midstream.api.context import (
    AnyRequest,
    ApiDependency,
    CallerDependency,
    json_response,
    read_body,
)
from midstream.errors import InvalidRequestError, RunNotFoundError, StoreUnavailableError
from midstream.ids import RunId

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable

    from litestar.handlers import HTTPRouteHandler

    from midstream.live_demo.process_map import ProcessMap
    from midstream.sessions.contract import SessionService

IMMUTABLE: Final = "public, max-age=31536000, immutable"
REVALIDATED: Final = "no-cache"
COMPRESSED_FROM: Final = 1024

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "frame-src 'self'",
        "frame-ancestors 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "object-src 'none'",
    )
)
PAGE_HEADERS: Final = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

NOT_BUILT: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Midstream</title>
<h1>The gateway serves; the demo is not built yet</h1>
<p>Run <code>make run</code> in the repository: it builds the demo and serves it here.</p>
<p>The API is at <code>/api/chat</code>, and described at <a href="/schema">/schema</a>.</p>
"""

DYING_DELAY_S: Final = 0.1
"""For the answer to leave, if it is this very process that is killed."""

DEATH_LIMIT_S: Final = 2.0
"""For a process to be gone after SIGKILL: the kernel frees its memory first."""
DEATH_TICK_S: Final = 0.01


class Asset(Struct, frozen=True):
    """A built file. `compressed`: gzipped, or empty where that is no gain."""

    content: bytes
    compressed: bytes
    media_type: str
    cache_control: str
    etag: str

    @classmethod
    def of(cls, name: str, content: bytes) -> Asset:
        """Return a file as it is served; those in `assets/` have their hash in their name."""
        compressed = gzip.compress(content, 9, mtime=0) if len(content) >= COMPRESSED_FROM else b""
        return cls(
            content,
            compressed if len(compressed) < len(content) * 0.9 else b"",
            mimetypes.guess_type(name)[0] or "application/octet-stream",
            IMMUTABLE if name.startswith("assets/") else REVALIDATED,
            f'"{hashlib.sha256(content).hexdigest()[:20]}"',
        )

    def response(self, request: AnyRequest) -> Response[bytes]:
        """Answer with the file, or with 304 if the client has it."""
        headers = {
            **PAGE_HEADERS,
            "cache-control": self.cache_control,
            "etag": self.etag,
            "vary": "accept-encoding",
        }
        if self.etag in request.headers.get("if-none-match", ""):
            return Response(b"", status_code=304, headers=headers, media_type=self.media_type)
        content = self.content
        if self.compressed and "gzip" in request.headers.get("accept-encoding", ""):
            content = self.compressed
            headers["content-encoding"] = "gzip"
        return Response(content, headers=headers, media_type=self.media_type)


def read_build(folder: Traversable) -> dict[str, Asset]:
    """Return the built files by their path below `/`; without a build, a page that says so."""
    files = dict(_files(folder, "")) if folder.is_dir() else {}
    files.setdefault("index.html", NOT_BUILT.encode())
    return {name: Asset.of(name, content) for name, content in files.items()}


def _files(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files(entry, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, entry.read_bytes()


def demo_pages(build: Mapping[str, Asset] | None = None) -> list[HTTPRouteHandler]:
    """Return the routes of the pages: every session's address is the same page."""
    assets = read_build(resources.files("midstream") / "demo") if build is None else build
    page = assets["index.html"]

    @get(["/", "/s/{chat_id:str}"], include_in_schema=False, sync_to_thread=False)
    def index(request: AnyRequest) -> Response[bytes]:
        return page.response(request)

    @get("/assets/{name:str}", include_in_schema=False, sync_to_thread=False)
    def asset(name: FromPath[str], request: AnyRequest) -> Response[bytes]:
        return _found(f"assets/{name}", request)

    @get("/favicon.svg", include_in_schema=False, sync_to_thread=False)
    def icon(request: AnyRequest) -> Response[bytes]:
        return _found("favicon.svg", request)

    def _found(name: str, request: AnyRequest) -> Response[bytes]:
        file = assets.get(name)
        if file is None:
            return Response(b"", status_code=404, headers=PAGE_HEADERS)
        return file.response(request)

    return [index, asset, icon]


class KillBody(Struct, frozen=True):
    """Which session's answer loses its process."""

    id: str


class AtWork(Struct, frozen=True, rename="camel"):
    """A run under way, and the process that is at it; None: nothing, or none now.

    Attributes:
        dead: the processes that were at it, and have died, oldest first.
    """

    run_id: RunId | None
    pid: int | None
    dead: list[int] = []


def worker_handlers(process_map: ProcessMap) -> list[HTTPRouteHandler]:
    """Return the routes that name the worker that writes an answer, and kill it.

    Any worker takes them. Both are for who may send to the session.
    """

    @get("/api/demo/worker/{chat_id:str}", operation_id="worker", tags=["demo"])
    async def worker(
        chat_id: FromPath[str], api: ApiDependency, caller: CallerDependency
    ) -> Response[bytes]:
        """Name the worker that writes the session's answer."""
        run_id = await api.sessions.at_work(caller, parameters.session_id(chat_id))
        found = (None, []) if run_id is None else await to_thread(process_map.look, run_id)
        return json_response(AtWork(run_id, *found))

    @post("/api/demo/kill", status_code=200, operation_id="kill", tags=["demo"])
    async def kill(
        request: AnyRequest, api: ApiDependency, caller: CallerDependency
    ) -> Response[bytes]:
        """Kill the worker that writes the session's answer, as `kill -9` does."""
        try:
            wanted = msgspec.json.decode(await read_body(request), type=KillBody)
        except msgspec.MsgspecError as error:
            raise InvalidRequestError(f"unable to read what to kill; {error}") from None
        session_id = parameters.session_id(wanted.id)
        run_id = await api.sessions.at_work(caller, session_id)
        pid, dead = (None, []) if run_id is None else await to_thread(process_map.look, run_id)
        if run_id is None or pid is None:
            raise RunNotFoundError("unable to kill; no worker is writing an answer here")
        killing = Killing(api.sessions, process_map, run_id, pid)
        itself = pid == os.getpid()
        if not itself:
            await killing.go()
        answer = json_response(AtWork(run_id, pid, dead))
        answer.background = BackgroundTask(killing.go_later) if itself else None
        return answer

    return [worker, kill]


class Killing:
    """The death of a worker, after which no tab is counted that was connected to it.

    Whoever kills it may be killed meanwhile, by another visitor: the next to kill does what is
    left.
    """

    def __init__(
        self, sessions: SessionService, process_map: ProcessMap, run_id: RunId, pid: int
    ) -> None:
        self._sessions = sessions
        self._process_map = process_map
        self._run_id = run_id
        self._pid = pid

    async def go_later(self) -> None:
        """Kill this very process, once its answer has left."""
        await asyncio.sleep(DYING_DELAY_S)
        await to_thread(self._process_map.note_death, self._pid)
        with contextlib.suppress(StoreUnavailableError):
            await self._sessions.withdraw_presence(self._pid)
        os.kill(self._pid, signal.SIGKILL)

    async def go(self) -> None:
        """Kill another process, wait until it is dead, and tell who followed there."""
        await to_thread(self._process_map.note_death, self._pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DEATH_LIMIT_S):
                while await self._is_at_work():  # noqa: ASYNC110 - nobody tells of another's child
                    await asyncio.sleep(DEATH_TICK_S)
        with contextlib.suppress(StoreUnavailableError):
            for dead in await to_thread(self._process_map.deaths):
                await self._sessions.withdraw_presence(dead)
                await to_thread(self._process_map.forget_death, dead)

    async def _is_at_work(self) -> bool:
        return await to_thread(self._process_map.find, self._run_id) == self._pid
