"""Liveness, readiness and metrics of the process."""

from __future__ import annotations

import os

from litestar import Response, get
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from midstream.api.context import CurrentDependency  # noqa: TC001 (Litestar reads the annotations)
from midstream.errors import StoreUnavailableError


@get("/livez", sync_to_thread=False, operation_id="livez", tags=["operation"])
def livez() -> dict[str, str]:
    """200 while the process serves requests at all."""
    return {"status": "ok"}


class Ready(Struct, frozen=True, kw_only=True):
    """The answer of `/readyz`.

    Attributes:
        redis: the server that keeps the sessions, as it describes itself.
        warnings: settings of that server that may lose sessions, and how to change them.
    """

    status: str = "ok"
    redis: dict[str, str] = {}
    warnings: list[str] = []


@get("/readyz", operation_id="readyz", tags=["operation"])
async def readyz(current: CurrentDependency) -> Ready:
    """200 when a new run would be stored, 503 with the reason otherwise."""
    api = current.for_new_work()
    facts = await api.server.facts()
    if facts.refusal is not None:
        raise StoreUnavailableError(f"unable to use Redis; {facts.refusal}")
    await api.probe()
    return Ready(redis=facts.named, warnings=facts.warnings)


@get("/metrics", include_in_schema=False, sync_to_thread=True)
def metrics() -> Response[bytes]:
    """Prometheus metrics of all workers; the streaming routes are not wrapped for them.

    In a thread: they are in files, one for each worker since the start.
    """
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})
