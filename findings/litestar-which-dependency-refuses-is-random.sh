#!/usr/bin/env bash
# litestar 2.25.0: two dependencies of one route that both raise.
#
# Expected: the answer to a request is the same in every process: dependencies are resolved in some
#   fixed order, so if "who calls?" (401) and "can we serve?" (503) both refuse, one of them always
#   wins.
# Seen: dependencies that need nothing of each other are resolved side by side, in the order of a set
#   of strings, and the first failure is the answer. That order is drawn anew by each process
#   (PYTHONHASHSEED): some workers answer 401, and others 503, to the same request. A dependency that
#   takes the other as an argument comes after it, always.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install 'litestar==2.25.0'
cat > "$folder/ask.py" <<'PYTHON'
import asyncio
import sys

from litestar import Litestar, get
from litestar.di import NamedDependency, Provide
from litestar.exceptions import NotAuthorizedException, ServiceUnavailableException


async def serving() -> str:
    raise ServiceUnavailableException("not now")


async def caller() -> str:
    raise NotAuthorizedException("no token")


async def caller_of(serving: NamedDependency[str]) -> str:
    raise NotAuthorizedException("no token")


@get("/")
async def index(caller: NamedDependency[str], serving: NamedDependency[str]) -> None: ...


async def status(dependencies) -> int:
    app = Litestar([index], dependencies=dependencies, logging_config=None)
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": "/", "raw_path": b"/", "query_string": b"", "root_path": "",
        "headers": [], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000),
    }
    await app(scope, receive, send)
    return sent[0]["status"]


side_by_side = {"caller": Provide(caller), "serving": Provide(serving)}
one_after_other = {"caller": Provide(caller_of), "serving": Provide(serving)}
chosen = side_by_side if sys.argv[1] == "side by side" else one_after_other
print(asyncio.run(status(chosen)))
PYTHON
for how in "side by side" "one after the other"; do
  for seed in $(seq 1 20); do
    PYTHONHASHSEED=$seed "$folder/venv/bin/python" "$folder/ask.py" "$how" 2>> "$folder/errors"
  done | sort | uniq -c | tee "$folder/answers"
  echo "  answers of 20 processes, dependencies resolved $how"
  wc -l < "$folder/answers" >> "$folder/kinds"
done
test "$(tr -d ' \n' < "$folder/kinds")" = 21
echo "as described"
