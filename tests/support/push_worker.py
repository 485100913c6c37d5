"""A worker in a process of its own: `python -m tests.support.push_worker OPTIONS`.

It answers with the words of `whole_answer`, prints each one after it was written, and at the end
the run's outcome. With `--from-message` it resumes after the message's text. With
`--silent-after` it falls silent once the answer has that many words, and does not end.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import suppress

from midstream.client import FencedError, Midstream, Run

WORDS = 150


def whole_answer() -> list[str]:
    """Return the complete answer of every attempt."""
    return [f"word-{number} " for number in range(WORDS)]


async def answer(run: Run, *, silent_after: int | None, pace_s: float) -> None:
    """Write the missing parts: first a tool's result, then the words."""
    tools = [part for part in run.message["parts"] if part["type"] == "tool-look"]
    if not tools:
        await run.tool("look", {"at": "rivers"}, call_id="call-1").output("long")
    elif tools[0]["state"] != "output-available":
        async with run.tool("look", {"at": "rivers"}, call_id="call-1") as call:
            await call.output("long")
    said = "".join(part.get("text", "") for part in run.message["parts"])
    said_already = len(said.split())
    for count, word in enumerate(whole_answer()[said_already:], said_already):
        if count == silent_after:
            await run.flush()
            print("silent", flush=True)  # noqa: T201
            await asyncio.Event().wait()
        await run.text(word)
        print(word, flush=True)  # noqa: T201
        await asyncio.sleep(pace_s)


async def main() -> None:
    """Write one run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("urls")
    parser.add_argument("key")
    parser.add_argument("session")
    parser.add_argument("--job", default="job")
    parser.add_argument("--from-message", action="store_true")
    parser.add_argument("--silent-after", type=int)
    parser.add_argument("--pace", type=float, default=0.004)
    asked = parser.parse_args()
    async with Midstream(asked.urls.split(","), key=asked.key) as client:
        run = client.run(
            asked.session,
            key=asked.job,
            text="How do rivers move?",
            on_retry="continue" if asked.from_message else "replay",
        )
        with suppress(FencedError):
            async with run:
                print("claimed", flush=True)  # noqa: T201
                await answer(run, silent_after=asked.silent_after, pace_s=asked.pace)
    print(f"outcome {run.outcome}", flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
    sys.exit(0)
