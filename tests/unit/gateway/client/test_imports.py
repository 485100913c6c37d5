"""What an import of the client brings with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

PROGRAM = """
import json, sys
import midstream.client
print(json.dumps(sorted(sys.modules)))
"""
ROOMS = ("midstream.answer", "midstream.client", "midstream.protocol")


def test_importing_the_client_imports_nothing_of_the_server_and_no_http() -> None:
    """A worker's start costs the standard library and msgspec; HTTP comes with the first use."""
    # A measurement of coverage would import itself.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", PROGRAM],
        env=environment, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    modules = set(json.loads(done.stdout))
    ours = {name for name in modules if name.startswith("midstream.")}
    assert {name for name in ours if not name.startswith(ROOMS)} == set()
    foreign = {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names)
    assert {"httpx2", "httpx", "anyio", "redis", "litestar", "celery"} & foreign == set()
    # msgspec imports `typing_extensions` where it is installed.
    allowed = {"midstream", "msgspec", "typing_extensions"}
    assert {name for name in foreign if not name.startswith("_")} <= allowed
