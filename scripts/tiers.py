"""Lists the tiers of checks, smallest first, with the parts that each leaves out and the reasons.

    python -m scripts.tiers check|test|all      the text that `make` prints when the tier passed

`PARTS` is the only list. A part that does not fit into a tier's time begins in the next one. A part
that a platform lacks names the missing requirement, so that nothing is left out silently.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from scripts.bootstrap import OTHER_ENGINES, engine_left_out, other_servers_left_out

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]

TIERS: Final = ("check", "test", "all")


def nothing_lacks() -> str:
    """Return that a part has no requirement."""
    return ""


class Part(NamedTuple):
    """One part of the checks.

    Attributes:
        since: the smallest tier that has it.
        why: the reason why smaller tiers do not have it.
        lacks: returns the missing requirement on this machine; empty if there is none.
    """

    what: str
    since: str
    why: str = ""
    lacks: Callable[[], str] = nothing_lacks


def recordings() -> str:
    """Return the missing requirement for the recorded answers of providers."""
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
        "other versions of Redis and Valkey, and nginx (tests/integration/topologies, doctor)",
        "test",
        "they start clusters",
        other_servers_left_out,
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
        "the image's steps, the chart, compose and Caddy (tests/integration/deployment)",
        "all",
        "they need tools of 500 MB, and build the image's packages",
        other_servers_left_out,
    ),
    Part(
        "branch coverage of the whole suite",
        "all",
        "it runs every test once more, and slower; `make test` measures that of the unit tests",
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
    """Return the parts that a tier does not check here, each with its reason."""
    lines: list[tuple[str, str]] = []
    for part in PARTS:
        if TIERS.index(part.since) > TIERS.index(tier):
            lines.append((part.what, f"{part.why}: `make {part.since}`"))
        elif lacking := part.lacks():
            lines.append((part.what, f"this machine lacks {lacking}"))
    return lines


def main() -> int:
    """Print the parts that a tier leaves out."""
    tier = sys.argv[1]
    lines = left_out(tier)
    print(f"\nmake {tier} has passed. " + ("It left out:" if lines else "It left out nothing."))
    for what, why in lines:
        print(f"  - {what}: {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
