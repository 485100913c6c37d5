"""uvicorn, with what it lacks: bounds on what a client costs before anybody knows who it is.

`guard.py` counts connections and holds deadlines; `http.py` and `websocket.py` extend uvicorn's
protocol classes with it; `refusals.py` is what a client is told.
"""

from midstream.server.config import GuardedConfig
from midstream.server.guard import Guard
from midstream.server.http import GuardedHttpProtocol

__all__ = ["Guard", "GuardedConfig", "GuardedHttpProtocol"]
