"""Records the duration of each test file: `python scripts/durations.py JUNIT_XML [--before]`.

Writes one column of `tests/durations.md`, "now" or "before"; the other stays unchanged.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from pathlib import Path
from typing import Final, NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
NOTED = ROOT / "tests" / "durations.md"

HEAD: Final = """# How long the tests take

Seconds of each file, set-up and tear-down included, summed over the processes that run them side
by side; the last row is what a person waits for pytest. On 2 cores. `make durations` writes "now"
anew; "before" is the suite that started Python for every gateway.

| file | tests | before | now |
|---|--:|--:|--:|
"""

_ROW = re.compile(r"\| (.+) \| (\d*) \| ([\d.]+) \| ([\d.]+) \|")

WALL: Final = "wall time"

SHORT_S: Final = 2.0
"""Files that took less in both columns are left out of the table."""


class Row(NamedTuple):
    """A file's number of tests and its durations."""

    tests: int = 0
    before: float = 0.0
    now: float = 0.0


def measured(report: Path) -> dict[str, tuple[int, float]]:
    """Return the number of tests and the seconds of each file of a JUnit report."""
    tests: defaultdict[str, int] = defaultdict(int)
    seconds: defaultdict[str, float] = defaultdict(float)
    root = ElementTree.parse(report)  # noqa: S314 - pytest's own
    for case in root.iter("testcase"):
        file = case.attrib["classname"].removeprefix("tests.").replace(".", "/")
        for name in (file, "all"):
            tests[name] += 1
            seconds[name] += float(case.attrib["time"])
    seconds[WALL] = sum(float(suite.attrib["time"]) for suite in root.iter("testsuite"))
    return {name: (tests[name], seconds[name]) for name in seconds}


def noted(text: str) -> dict[str, Row]:
    """Return the present rows of the table."""
    return {
        file: Row(int(tests or 0), float(before), float(now))
        for file, tests, before, now in _ROW.findall(text)
    }


def updated(
    rows: dict[str, Row], found: dict[str, tuple[int, float]], *, before: bool
) -> dict[str, Row]:
    """Return the rows with one column written anew."""
    result: dict[str, Row] = {}
    for name in {*rows, *found}:
        old, (tests, took) = rows.get(name, Row()), found.get(name, (0, 0.0))
        result[name] = Row(old.tests, took, old.now) if before else Row(tests, old.before, took)
    return result


def table(rows: dict[str, Row]) -> str:
    """Return the table, longest file first, with the sums at its end."""

    def place(name: str) -> tuple[bool, bool, float]:
        return name == WALL, name == "all", -max(rows[name][1:])

    return "".join(
        f"| {name} | {rows[name].tests or ''} | {rows[name].before:.1f} | {rows[name].now:.1f} |\n"
        for name in sorted(rows, key=place)
        if max(rows[name][1:]) >= SHORT_S
    )


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("report", type=Path)
    parser.add_argument("--before", action="store_true")
    asked = parser.parse_args()
    rows = noted(NOTED.read_text()) if NOTED.exists() else {}
    rows = updated(rows, measured(asked.report), before=asked.before)
    NOTED.write_text(HEAD + table(rows))


if __name__ == "__main__":
    main()
