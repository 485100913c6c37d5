"""Routes of the live demo: its pages, and the means to kill the process that writes an answer.

Only an application with `server.demo` has them.
"""

from __future__ import annotations

import os
from asyncio import to_thread
from importlib import resources
from typing import TYPE_CHECKING

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
from midstream.errors import InvalidRequestError, RunNotFoundError
from midstream.ids import RunId
from midstream.live_demo.killing import Killing
from midstream.live_demo.pages import PAGE_HEADERS, Asset, read_build

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar.handlers import HTTPRouteHandler

    from midstream.live_demo.process_map import ProcessMap


def demo_pages(build: Mapping[str, Asset] | None = None) -> list[HTTPRouteHandler]:
    """Return the routes of the pages: every session's address is the same page."""
    assets = read_build(resources.files("midstream") / "demo") if build is None else build
    page = assets["index.html"]

    @get(["/", "/s/{chat_id:str}"], include_in_schema=False, sync_to_thread=False)
    def index(request: AnyRequest) -> Response[bytes]:
        return _answer(page, request)

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
        return _answer(file, request)

    return [index, asset, icon]


def _answer(asset: Asset, request: AnyRequest) -> Response[bytes]:
    """Answer with a file, or with 304 if the client has it."""
    headers = {
        **PAGE_HEADERS,
        "cache-control": asset.cache_control,
        "etag": asset.etag,
        "vary": "accept-encoding",
    }
    if asset.etag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, headers=headers, media_type=asset.media_type)
    content = asset.content
    if asset.compressed and "gzip" in request.headers.get("accept-encoding", ""):
        content = asset.compressed
        headers["content-encoding"] = "gzip"
    return Response(content, headers=headers, media_type=asset.media_type)


class KillBody(Struct, frozen=True):
    """The session whose answer loses its process."""

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
            raise InvalidRequestError(f"unable to read the request; {error}") from None
        session_id = parameters.session_id(wanted.id)
        run_id = await api.sessions.at_work(caller, session_id)
        pid, dead = (None, []) if run_id is None else await to_thread(process_map.look, run_id)
        if run_id is None or pid is None:
            raise RunNotFoundError("unable to kill; no worker is writing an answer here")
        killing = Killing(api.sessions.withdraw_presence, process_map, run_id, pid)
        itself = pid == os.getpid()
        if not itself:
            await killing.go()
        answer = json_response(AtWork(run_id, pid, dead))
        answer.background = BackgroundTask(killing.go_later) if itself else None
        return answer

    return [worker, kill]
