"""uvicorn's configuration, with the guard that all connections of the process share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import uvicorn

from midstream.server.http import GuardedHttpProtocol
from midstream.server.websocket import GuardedWebSocketProtocol

if TYPE_CHECKING:
    from midstream.server.guard import Guard


class GuardedConfig(uvicorn.Config):
    """Configuration that uvicorn hands to each connection.

    Args:
        more: uvicorn's own; the protocols are set here.
    """

    def __init__(self, app: Any, guard: Guard, **more: Any) -> None:
        super().__init__(
            app,
            http=GuardedHttpProtocol,
            ws=GuardedWebSocketProtocol,
            timeout_keep_alive=int(guard.limits.idle_limit_s),
            **more,
        )
        # uvicorn says int, and hands it to `call_later`.
        self.timeout_keep_alive = guard.limits.idle_limit_s  # type: ignore[assignment]
        self.guard = guard
