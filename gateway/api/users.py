"""`/api/users/{id}`: all that is kept of one user."""

from __future__ import annotations

from typing import Final

from litestar import Controller, Response, delete, get
from litestar.params import FromPath  # noqa: TC002 (Litestar reads the annotations)
from litestar.types import ASGIApp  # noqa: TC002 (Litestar reads the annotations)
from msgspec import Struct

from midstream.api import parameters
from midstream.api.auth.tokens import user_id
from midstream.api.context import (
    AnyRequest,
    ApiDependency,
    CallerDependency,
    json_response,
)
from midstream.api.streaming.stream_response import Framing, StreamResponse

LINES: Final = Framing(media_type="application/jsonl; charset=utf-8", heartbeat=b"", last=b"")


class Erased(Struct, frozen=True):
    """How many sessions were erased."""

    sessions: int


class UserController(Controller):
    """One user, by the `sub` of their tokens; `?tenant=` in another tenant, for an admin."""

    path = "/api/users"
    tags = ["users"]  # noqa: RUF012 (Litestar's own attribute)

    @delete("/{name:str}", status_code=200, operation_id="eraseUser")
    async def erase(
        self,
        name: FromPath[str],
        request: AnyRequest,
        api: ApiDependency,
        caller: CallerDependency,
    ) -> Response[bytes]:
        """Stop what runs, and erase every session that the user began."""
        tenant = parameters.tenant(request, caller)
        erased = await api.users.erasure.erase(caller, user_id(name), tenant)
        for session_id in erased:
            await api.limits.recount(session_id)
        return json_response(Erased(len(erased)))

    @get("/{name:str}/export", operation_id="exportUser")
    async def export(
        self,
        name: FromPath[str],
        request: AnyRequest,
        api: ApiDependency,
        caller: CallerDependency,
    ) -> ASGIApp:
        """Export every session that the user began: a line of JSON each, and a last one."""
        tenant = parameters.tenant(request, caller)
        async with api.limits.reading(caller) as grant:
            return StreamResponse(
                await api.users.exports.open(caller, user_id(name), tenant),
                bytes,
                LINES,
                headers={"content-disposition": 'attachment; filename="midstream-export.jsonl"'},
                deadline=api.deadline,
                kind="export",
                expires_at=None,
                hold=grant.stream,
            )
