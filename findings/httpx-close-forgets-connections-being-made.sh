#!/usr/bin/env bash
# httpx2 2.16.2 with httpcore2 2.16.2, and httpx 0.28.1 with httpcore 1.0.9: a client that is closed
# while a request connects.
#
# Expected: `aclose()` ends the request, or closes its connection once it is made.
# Seen: the request goes on after `aclose()` has returned and is answered; its connection stays open
#   afterwards, in no pool, until it is garbage collected (`ResourceWarning: unclosed`).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install \
  'httpx2==2.16.2' 'httpcore2==2.16.2' 'httpx==0.28.1' 'httpcore==1.0.9'
cat > "$folder/look.py" <<'PYTHON'
import asyncio

import httpx
import httpx2

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


async def look(library) -> None:
    open_connections = 0

    async def serve(reader, writer):
        nonlocal open_connections
        open_connections += 1
        try:
            while await reader.read(65536):
                writer.write(ANSWER)
        except asyncio.CancelledError:
            pass  # the end of this program
        open_connections -= 1
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = library.AsyncClient()
    request = asyncio.create_task(client.get(f"http://127.0.0.1:{port}/"))
    await asyncio.sleep(0)  # the request begins to connect
    await client.aclose()
    answered_after_close = not request.done() and (await request).text == "ok"
    await asyncio.sleep(0.5)
    print(f"{library.__name__}: closed: {client.is_closed}, then answered: {answered_after_close}, "
          f"connections left open: {open_connections}")
    assert (client.is_closed, answered_after_close, open_connections) == (True, True, 1)
    server.close()


for library in (httpx2, httpx):
    asyncio.run(look(library))
print("as described")
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
