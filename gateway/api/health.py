"""Whether this process lives, whether it can serve, and its metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import get
from litestar.plugins.prometheus import PrometheusController
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from litestar.handlers import HTTPRouteHandler


def liveness() -> HTTPRouteHandler:
    """Return the handler of `/livez`: the event loop turns."""

    @get("/livez", sync_to_thread=False, operation_id="livez", tags=["operation"])
    def livez() -> dict[str, str]:
        """200 while the process serves requests at all."""
        return {"status": "ok"}

    return livez


class Ready(Struct, frozen=True, kw_only=True):
    """The answer of `/readyz`.

    Attributes:
        redis: the server that keeps the sessions, as it describes itself.
        warnings: what may cost sessions there, and what to set.
    """

    status: str = "ok"
    redis: dict[str, str] = {}
    warnings: list[str] = []


def readiness(check: Callable[[], Awaitable[Ready]]) -> HTTPRouteHandler:
    """Return the handler of `/readyz`.

    Args:
        check: raises a GatewayError while new work cannot be taken: Redis is away or takes no
            writes, or the process is shutting down.
    """

    @get("/readyz", operation_id="readyz", tags=["operation"])
    async def readyz() -> Ready:
        """200 when a new run would be stored, 503 with the reason otherwise."""
        return await check()

    return readyz


class Metrics(PrometheusController):
    """Prometheus metrics of all workers; the streaming routes are not wrapped for them."""

    path = "/metrics"
    include_in_schema = False
