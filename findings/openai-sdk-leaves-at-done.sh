#!/usr/bin/env bash
# openai 3.54.0, its synchronous client.
#
# Expected: a streamed answer that is read to its end is read to the end of its body, and its
#   connection is used again.
# Seen: the SDK closes the response when it has read `[DONE]`. If the end of the body comes later,
#   even by milliseconds, the server sees its client leave in the middle of the answer.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install 'openai==3.54.0'
"$folder/venv/bin/python" - <<'PYTHON'
import json
import socket
import threading

import openai

listener = socket.create_server(("127.0.0.1", 0))
listener.settimeout(60)
left_first = []


def serve():
    connection, _ = listener.accept()
    connection.settimeout(60)
    with connection:
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(65536)
        head, _, body = request.partition(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        )
        while len(body) < length:
            body += connection.recv(65536)
        chunk = {
            "id": "c",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}],
        }
        events = f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode()
        connection.sendall(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n" + b"%x\r\n%s\r\n" % (len(events), events)
        )
        # The body's end ("0") is held back: whoever reads to the end waits for it.
        try:
            left_first.append(connection.recv(1) == b"")
        except ConnectionError:
            left_first.append(True)
        except TimeoutError:
            left_first.append(False)


server = threading.Thread(target=serve)
server.start()
port = listener.getsockname()[1]
client = openai.OpenAI(api_key="any", base_url=f"http://127.0.0.1:{port}/v1", max_retries=0)
answer = client.chat.completions.create(
    model="m", messages=[{"role": "user", "content": "Hi"}], stream=True
)
words = [chunk.choices[0].delta.content for chunk in answer]
server.join()
listener.close()
print("read:", words, "| the client closed the connection before the body's end:", left_first[0])
assert words == ["Hi"] and left_first == [True]
print("as described")
PYTHON
