"""Gateways that workers push into, and workers in processes of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateway.client import Midstream
from tests.support.gateway import SHORT_LEASE, merged

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment
    from tests.support.gateway import Settings
    from tests.support.sessions import Session

AGENT_KEY: Final = "agent-key-of-the-worker-1f2e3d"
PUSH_ENVIRONMENT: Final = {"WORKER_KEY": AGENT_KEY}
PUSH_SETTINGS: Final[Settings] = merged(
    SHORT_LEASE, {"agent_keys.worker": {"key_env": "WORKER_KEY"}}
)


def client_of(deployment: Deployment, **options: Any) -> Midstream:
    """Return a client of all gateways of a deployment."""
    urls = [gateway.at.url for gateway in deployment.gateways]
    return Midstream(urls, key=AGENT_KEY, **options)


async def answer_of(session: Session) -> dict[str, Any]:
    """Return the last message of a session, as it is kept."""
    message: dict[str, Any] = (await session.snapshot())["messages"][-1]
    return message
