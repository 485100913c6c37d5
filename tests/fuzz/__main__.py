"""Feed a gateway with what strangers might send, and see that nothing comes of it: `make fuzz`.

python -m tests.fuzz [--runs 100000] [--seed WORD] [--only SESSION] [--go-on]

A session is some mutated runs (provider streams of all wires, messages of people, answers
to tools, chunks of agents), then a good run with each provider. None may hang, log a traceback,
show a client what it cannot read, or leave the session unable to go on.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from midstream.store.server.embedded import EmbeddedRedis
from tests.fuzz.gateway import FailedError, fuzzed_gateway

PROGRESS_S: Final = 10.0


async def _fuzz(redis_url: str, options: argparse.Namespace) -> int:
    """Run sessions; return how many failed."""
    runs = failed = 0
    number = options.first if options.only is None else options.only
    began = told = time.monotonic()
    async with fuzzed_gateway(redis_url) as gateway:
        while runs < options.runs:
            try:
                runs += await gateway.converse(f"{options.seed}:{number}")
            except FailedError as error:
                failed += 1
                print(f"\nFAILED seed={options.seed} session={number}\n{error}", flush=True)
                if error.__cause__ is not None and not isinstance(error.__cause__, FailedError):
                    _tell_cause(error.__cause__)
                if not options.go_on:
                    break
                runs += 1
            number += 1
            if time.monotonic() - told >= PROGRESS_S:
                told = time.monotonic()
                print(
                    f"{runs} of {options.runs} mutated runs, {runs / (told - began):.0f} a second, "
                    f"{failed} failed, seed={options.seed} session={number}",
                    flush=True,
                )
            if options.only is not None:
                break
    took_s = time.monotonic() - began
    print(f"{runs} mutated runs in {took_s:.0f} s, {failed} failed, seed={options.seed}")
    return failed


def _tell_cause(cause: BaseException) -> None:
    sys.excepthook(type(cause), cause, cause.__traceback__)


def main() -> None:
    """Fuzz until the limit, or until a failure."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000, help="mutated runs in all")
    parser.add_argument("--seed", default=secrets.token_hex(4), help="the same runs again")
    parser.add_argument("--first", type=int, default=0, help="the session to begin with")
    parser.add_argument("--only", type=int, help="this session of the seed, and no other")
    parser.add_argument("--go-on", action="store_true", help="do not end at the first failure")
    options = parser.parse_args()
    print(f"seed={options.seed}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="midstream-fuzz-") as folder,
        EmbeddedRedis(Path(folder), appendfsync="no") as server,
    ):
        sys.exit(1 if asyncio.run(_fuzz(server.url, options)) else 0)


if __name__ == "__main__":
    main()
