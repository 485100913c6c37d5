"""The tiers of checks, smallest first, and what each of them leaves out and why.

    python -m scripts.tiers check|test|all      what `make` prints when the tier has passed

`PARTS` is the one list. A part that does not fit a tier's time begins in the next one; a part that
a platform cannot have says what it lacks, so that nothing is ever left out in silence.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from scripts.bootstrap import OTHER_ENGINES, engine_left_out

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]

TIERS: Final = ("check", "test", "all")


def nothing_lacks() -> str:
    """Return that a part can be had everywhere."""
    return ""


class Part(NamedTuple):
    """Something that is checked.

    Attributes:
        since: the smallest tier that has it.
        why: it is in no smaller one.
        lacks: what is missing for it here; empty if nothing is.
    """

    what: str
    since: str
    why: str = ""
    lacks: Callable[[], str] = nothing_lacks


def recordings() -> str:
    """Return what is missing for the recorded answers of providers."""
    folder = ROOT.parent / "shared" / "aisdk"
    return "" if folder.is_dir() else "the recordings beside the repository"


PARTS: Final = (
    Part("format, style, types, import direction", "check"),
    Part("one module each, in process (tests/unit)", "check"),
    Part(
        "the npm package's own tests, and the rooms of it and of the demo (demo-ui)",
        "test",
        "they need Node, and take half a minute",
    ),
    Part(
        "a real Redis, real processes, cut connections, kills (tests/integration, tests/faults)",
        "test",
        "they start hundreds of processes",
    ),
    Part(
        "the AI SDK's own clients, every major version (tests/conformance)",
        "test",
        "they need Node, and start dozens of processes",
    ),
    Part(
        "what a person does, in a browser and by the README's commands (tests/e2e)",
        "test",
        "they need Chromium, and wait for what a person sees",
    ),
    *(
        Part(
            f"the main scenarios in {engine} (tests/e2e/test_engines.py)",
            "test",
            f"they need {engine}",
            functools.partial(engine_left_out, engine),
        )
        for engine in OTHER_ENGINES
    ),
    Part(
        "answers of real providers, as recorded (tests/conformance)",
        "test",
        "they need Node",
        recordings,
    ),
    Part(
        "10,000 faults of all kinds at once (tests/chaos)",
        "all",
        "they take half an hour; each kind once is in `make test`",
    ),
    Part(
        "every matrix whole: the tests marked `release`",
        "all",
        "the smallest case of each is in `make test`; the rest takes hours",
    ),
)


def left_out(tier: str) -> list[tuple[str, str]]:
    """Return what a tier does not check here, and why."""
    lines: list[tuple[str, str]] = []
    for part in PARTS:
        if TIERS.index(part.since) > TIERS.index(tier):
            lines.append((part.what, f"{part.why}: `make {part.since}`"))
        elif lacking := part.lacks():
            lines.append((part.what, f"this machine lacks {lacking}"))
    return lines


def main() -> int:
    """Print it."""
    tier = sys.argv[1]
    lines = left_out(tier)
    print(f"\nmake {tier} has passed. " + ("It left out:" if lines else "It left out nothing."))
    for what, why in lines:
        print(f"  - {what}: {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
