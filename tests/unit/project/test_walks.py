"""Walks through the source that a newcomer makes, and the page that leads each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[3]
PATH: Final = re.compile(r"[\w-]+(?:/[\w-]+)+\.(?:py|lua)|\b[\w-]+\.lua\b")


class Walk(NamedTuple):
    """A question, the section that answers it, and how many files it may send its reader to."""

    page: str
    heading: str
    most: int
    passes: tuple[str, ...]


WALKS: Final = {
    "a delta reaches the browser": Walk(
        "docs/architecture.md",
        "## The main flow",
        15,
        (
            "agents/model/agent.py",
            "sessions/runs/producer.py",
            "sessions/runs/committer.py",
            "append.lua",
            "sessions/log/hub.py",
            "sessions/log/readers.py",
            "api/streaming/stream_response.py",
        ),
    ),
    "a stop in another tab": Walk(
        "docs/architecture.md",
        "## How a stop travels",
        9,
        ("api/chat/routes.py", "request_stop.lua", "sessions/runs/producer.py"),
    ),
    "a gateway dies": Walk(
        "docs/architecture.md",
        "## How a dead gateway's run ends",
        7,
        ("sessions/failover/reaper.py", "take_over.lua", "sessions/runs/terminal.py"),
    ),
    "a new provider": Walk(
        "CONTRIBUTING.md",
        "### Add a provider",
        10,
        ("settings/provider_kinds.py", "providers/base.py"),
    ),
    "a new record": Walk(
        "CONTRIBUTING.md",
        "### Add a record",
        5,
        ("gateway/store/records.py", "gateway/store/lua/common.lua"),
    ),
}


def section(page: str, heading: str) -> str:
    """Return a section's text, without that of the sections below it."""
    text = (ROOT / page).read_text()
    assert text.count(f"\n{heading}\n") == 1, heading
    below = text.split(f"\n{heading}\n")[1]
    return re.split(r"\n#{2,3} ", below)[0]


def main_way(text: str) -> str:
    """Return a section's drawing if it has one: the text around it describes bypaths."""
    drawn = re.search(r"```\n(.*?)```", text, re.DOTALL)
    return drawn[1] if drawn else text


def found(name: str) -> Path | None:
    """Return the file that a page calls by this name."""
    places = [ROOT / name, ROOT / "gateway" / name, ROOT / "gateway" / "store" / "lua" / name]
    return next((place for place in places if place.is_file()), None)


@pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS.keys())
def test_walk_leads_through_few_files_that_are_there(walk: Walk) -> None:
    """The bound is six tenths of what the same walk took before there were rooms."""
    text = section(walk.page, walk.heading)
    named = set(PATH.findall(text))
    assert {name for name in named if found(name) is None} == set()
    way = set(PATH.findall(main_way(text)))
    assert set(walk.passes) <= way
    assert len({found(name) for name in way}) <= walk.most, sorted(way)
