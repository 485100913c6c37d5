"""`/api/chat/{id}/diagnosis`: what happened to a session's answers, in sentences."""

from __future__ import annotations

from litestar import Response, get
from litestar.params import FromPath  # noqa: TC002 (Litestar reads the annotations)

from midstream.api import parameters
from midstream.api.context import ApiDependency, CallerDependency, json_response


@get("/api/chat/{chat_id:str}/diagnosis", operation_id="diagnose", tags=["chat"])
async def diagnose(
    chat_id: FromPath[str], api: ApiDependency, caller: CallerDependency
) -> Response[bytes]:
    """Tell what happened to each answer, and which failures people met."""
    session_id = parameters.session_id(chat_id)
    return json_response(await api.diagnosis.diagnose(caller, session_id))
