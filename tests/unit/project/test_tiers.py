"""The stages of the checks: nothing is left out silently, and passed stages are not repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts import durations, release, tiers
from scripts.release import Stage
from scripts.tiers import Part

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_each_tier_leaves_out_what_begins_in_a_larger_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name, with the reason and the command that has it."""
    parts = (
        Part("quick", "check"),
        Part("slow", "test", "minutes"),
        Part("slowest", "all", "hours"),
    )
    monkeypatch.setattr(tiers, "PARTS", parts)
    told = {tier: [what for what, _ in tiers.left_out(tier)] for tier in tiers.TIERS}
    assert told == {"check": ["slow", "slowest"], "test": ["slowest"], "all": []}
    assert dict(tiers.left_out("check"))["slow"] == "minutes: `make test`"


def test_part_that_a_machine_cannot_have_is_left_out_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In every tier that would have it, with what is missing."""
    part = Part("browsers", "test", "minutes", lambda: "a browser")
    monkeypatch.setattr(tiers, "PARTS", (part,))
    assert tiers.left_out("all") == [("browsers", "this machine lacks a browser")]


def test_every_part_begins_in_a_tier_and_says_why() -> None:
    """A part of no tier would never be told; one of a larger tier has a reason."""
    for part in tiers.PARTS:
        assert part.since in tiers.TIERS
        assert part.why or part.since == "check"


def test_stages_go_on_with_the_one_that_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stages that passed for the same files are not repeated; the others are."""
    ran, mended = tmp_path / "ran", tmp_path / "mended"
    stages = [
        Stage("first", f"echo first >> {ran}"),
        Stage("second", f"echo second >> {ran}; test -e {mended}"),
        Stage("third", f"echo third >> {ran}"),
    ]
    assert release.run(stages, tmp_path / "passed") == 1
    mended.touch()
    assert release.run(stages, tmp_path / "passed") == 0
    assert ran.read_text().split() == ["first", "second", "second", "third"]
    assert release.run(stages, tmp_path / "other files") == 0
    assert ran.read_text().split()[4:] == ["first", "second", "third"]
    shown = capsys.readouterr().out
    assert "[2/3] second: failed" in shown
    assert "[1/3] first: has passed for these files" in shown


def test_durations_of_one_column_leave_the_other(tmp_path: Path) -> None:
    """A file that is new or gone has nothing in the other one; short ones are left out."""
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite time="6.5">'
        '<testcase classname="tests.unit.test_a" time="4.25"/>'
        '<testcase classname="tests.unit.test_a" time="4.5"/>'
        '<testcase classname="tests.unit.test_quick" time="0.5"/>'
        "</testsuite></testsuites>"
    )
    rows = durations.noted(
        "| faults/test_gone | 3 | 7.0 | 6.0 |\n| unit/test_a | 1 | 9.0 | 8.0 |\n"
    )
    rows = durations.updated(rows, durations.measured(report), before=False)
    assert durations.table(rows).splitlines() == [
        "| unit/test_a | 2 | 9.0 | 8.8 |",
        "| faults/test_gone |  | 7.0 | 0.0 |",
        "| all | 3 | 0.0 | 9.2 |",
        "| wall time |  | 0.0 | 6.5 |",
    ]
    assert durations.noted(durations.table(rows))["unit/test_a"].tests == 2
