"""Measures a reload in a browser, until the page has the whole answer so far."""

from __future__ import annotations

import re
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench.clients import ended
from tests.bench.report import Row, Target
from tests.bench.resume import CHUNKS, LAST, long_answer
from tests.bench.servers import NODE
from tests.bench.streams import new_chat
from tests.support.browser import Browser, Transport, running_browser
from tests.support.node import node_binary
from tests.support.processes import REPOSITORY

if TYPE_CHECKING:
    from tests.bench.servers import Server, Servers

_TIMES: Final = 5
_PACKAGE: Final = REPOSITORY / "demo-ui" / "transport"
_SIZE: Final = re.compile(r"midstream: (\d+) bytes")

CAUGHT_UP: Final = (
    "last => window.chat?.look().messages.at(-1)?.parts"
    ".some(part => part.type === 'text' && part.text.endsWith(last))"
)
"""Whether the page's chat has the whole answer. The page shows nothing: no layout counts."""


async def measure_reload(servers: Servers) -> list[Row]:
    """Return a page's time to catch up, with each transport, and the package's size."""
    with tempfile.TemporaryDirectory() as folder:
        async with running_browser(Path(folder) / "stderr") as browser:
            with servers.gateway() as gateway:
                ours, stock = await _reloads(servers, gateway, browser, ("midstream", "stock"))
            with servers.node() as node:
                (peer,) = await _reloads(servers, node, browser, ("stock",))
    return [
        Row(f"reload of a page with {CHUNKS:,} chunks", ours, "ms", NODE, peer),
        Row("… with the AI SDK's transport on both sides", stock, "ms", NODE, peer),
        Row("package, minified and gzipped", _package_kb(), "kB", target=Target(13.0, "value")),
    ]


async def _reloads(
    servers: Servers, server: Server, browser: Browser, transports: tuple[Transport, ...]
) -> list[float]:
    """Return the median for each transport, of pages that show one answer still under way."""
    chat = new_chat()
    writer = await long_answer(server, chat)
    medians = []
    for transport in transports:
        profile = browser.profile()
        tab = await profile.open(f"http://127.0.0.1:{server.port}", chat, transport=transport)
        await tab.command("wait", source=CAUGHT_UP, argument=LAST.decode())
        took = [
            float(await tab.command("reloadUntil", source=CAUGHT_UP, argument=LAST.decode()))
            for _ in range(_TIMES)
        ]
        medians.append(statistics.median(took))
        await profile.close()
    await servers.finish_answers()
    await ended(writer)
    return medians


def _package_kb() -> float:
    """Return the size that the package's own test measures."""
    program = REPOSITORY / "demo-ui" / "node_modules" / "vitest" / "vitest.mjs"
    command = [node_binary(), str(program), "run", "tests/package.test.ts", "-t", "is under"]
    done = subprocess.run(  # noqa: S603
        command, cwd=_PACKAGE, capture_output=True, text=True, timeout=120, check=False
    )
    size = _SIZE.search(done.stdout)
    assert size is not None, done.stdout + done.stderr
    return int(size[1]) / 1000
