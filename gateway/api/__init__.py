"""The gateway's HTTP and WebSocket interface. Litestar lives here and in `app.py` only."""
