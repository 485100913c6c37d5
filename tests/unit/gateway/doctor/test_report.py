"""What a person reads, what a program reads, and the exit code."""

from __future__ import annotations

import json

from midstream.doctor.report import Report
from midstream.store.server.verdict import Level, Verdict

GOOD = Verdict("eviction", Level.OK, "maxmemory-policy is noeviction")
NOTED = Verdict("memory", Level.NOTE, "maxmemory is not set", "Set it")
BAD = Verdict("persistence", Level.DANGER, "nothing is written to disk", "Set appendonly to yes")


def test_report_has_a_line_for_each_property_and_a_sum() -> None:
    shown: list[str] = []
    report = Report(shown.append)
    report.begin("redis", "redis://ms:***@db")
    for verdict in (GOOD, NOTED, BAD):
        report.tell(verdict)
    report.end()
    assert [" ".join(line.split()) for line in shown] == [
        "Redis at redis://ms:***@db",
        "ok eviction maxmemory-policy is noeviction.",
        "note memory maxmemory is not set. Set it.",
        "danger persistence nothing is written to disk. Set appendonly to yes.",
        "1 danger, 1 note, 1 ok. Change what is dangerous or at fault.",
    ]
    assert report.exit_code == 1


def test_notes_alone_are_fit_for_use() -> None:
    shown: list[str] = []
    report = Report(shown.append)
    report.begin("proxy", "http://chat")
    report.tell(NOTED)
    report.end()
    assert report.exit_code == 0
    assert shown[-1] == "1 note. Fit for use."


def test_json_has_all_that_was_told() -> None:
    report = Report(None)
    report.begin("redis", "redis://db")
    report.tell(BAD)
    assert json.loads(report.json()) == {
        "good": False,
        "examined": [
            {
                "part": "redis",
                "address": "redis://db",
                "verdicts": [
                    {
                        "subject": "persistence",
                        "level": "danger",
                        "says": "nothing is written to disk",
                        "do": "Set appendonly to yes",
                    }
                ],
            }
        ],
    }
