"""Whether this process lives, whether it can serve, and its metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import get
from litestar.plugins.prometheus import PrometheusController

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


def readiness(check: Callable[[], Awaitable[None]]) -> HTTPRouteHandler:
    """Return the handler of `/readyz`.

    Args:
        check: raises a GatewayError while new work cannot be taken: Redis is away, or the
            process is shutting down.
    """

    @get("/readyz", operation_id="readyz", tags=["operation"])
    async def readyz() -> dict[str, str]:
        """200 when a new run can be accepted, 503 with the reason otherwise."""
        await check()
        return {"status": "ok"}

    return readyz


class Metrics(PrometheusController):
    """Prometheus metrics of all workers; the streaming routes are not wrapped for them."""

    path = "/metrics"
    include_in_schema = False
