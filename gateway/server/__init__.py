"""uvicorn with limits on clients before authentication.

`guard.py` counts connections and holds deadlines; `http.py` and `websocket.py` extend uvicorn's
protocol classes with it; `refusals.py` has the errors.
"""

from midstream.server.config import GuardedConfig
from midstream.server.guard import Guard
from midstream.server.http import GuardedHttpProtocol

__all__ = ["Guard", "GuardedConfig", "GuardedHttpProtocol"]
