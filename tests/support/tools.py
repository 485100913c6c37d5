"""Tools in Python, which gateways of tests import by path."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

from midstream.agents.tools.api import ToolContext, ToolError, ToolFile, ToolOutput, tool_options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_meetings: dict[str, asyncio.Barrier] = {}


def add(one: int, two: int) -> int:
    """Add two numbers."""
    return one + two


async def meet(at: str, context: ToolContext) -> str:
    """Wait for another call of the same run: two of them must run side by side."""
    await _meetings.setdefault(f"{context.run_id} {at}", asyncio.Barrier(2)).wait()
    return f"met {at}"


def transfer(amount: int) -> dict[str, int]:
    """Send money."""
    return {"sent": amount}


def is_large(amount: int) -> bool:
    """Whether a person must allow the transfer."""
    return amount > 10


async def count(to: int) -> AsyncIterator[int]:
    """Count, and show how far."""
    for number in range(1, to + 1):
        yield number


@tool_options(strict=True, defer_loading=False, input_examples=[{"city": "Oslo"}])
def measured(city: str) -> str:
    """Tell the temperature."""
    return f"{len(city)} degrees"


async def draw(shown: bool) -> AsyncIterator[str | ToolOutput]:
    """Draw a map; people see it, or where it is."""
    yield "drawing"
    png = ToolFile(media_type="image/png", data=b"\x89PNG not really")
    content: tuple[str | ToolFile, ...] = ("The map:", png)
    yield ToolOutput(content, shown={"at": "/map.png"}) if shown else ToolOutput(content)


def refuse() -> None:
    """Fail with a sentence of its own."""
    raise ToolError("Not today.")


def crash() -> None:
    """Fail with words that must stay in the log."""
    raise ValueError("swordfish")


def page(length: int) -> str:
    """Return a long text."""
    return "x" * length


def work(file: str, wait_s: float) -> str:
    """Record its execution in a file, then take `wait_s`."""
    with Path(file).open("a") as lines:
        lines.write("executed\n")
    time.sleep(wait_s)
    return "worked"


async def hang() -> None:
    """Never answer."""
    await asyncio.Event().wait()


def unreadable() -> object:
    """Return a value that is not JSON."""
    return object()


async def dig(folder: str, context: ToolContext) -> AsyncIterator[str]:
    """Leave a mark in a folder, yield, and never end."""
    with (Path(folder) / f"{context.tool_call_id} {context.run_id}").open("x"):
        yield "began"
    await asyncio.Event().wait()


async def delve(folder: str, context: ToolContext) -> AsyncIterator[str]:
    """Do the same as `dig`, without an approval."""
    async for said in dig(folder, context):
        yield said


def pay() -> str:
    """Pay."""
    return "paid"
