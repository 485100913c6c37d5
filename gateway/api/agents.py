"""`/api/agents`: who can be asked, for a picker."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import Response, get
from msgspec import Struct

from midstream.agents.base import AgentOffer
from midstream.api.context import ApiDependency, CallerDependency, json_response


class Offers(Struct, frozen=True):
    """All agents; the first one answers requests that name none."""

    agents: Sequence[AgentOffer]


@get("/api/agents", operation_id="listAgents", tags=["chat"])
async def list_agents(api: ApiDependency, caller: CallerDependency) -> Response[bytes]:
    """List the agents, and the models that each can be asked for."""
    return json_response(Offers(api.agents))
