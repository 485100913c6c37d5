"""Alerts and dashboard: they ask for metrics that there are, and people are told what to do."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]

from midstream.telemetry import RUN_SILENCE_SECONDS
from tests.support.deploy_tools import ask
from tests.support.processes import REPOSITORY
from tests.unit.gateway.api.fakes import FakeSessions, make_app, request

pytestmark = pytest.mark.anyio

RULES: Final = yaml.safe_load((REPOSITORY / "deploy/prometheus/alerts.yml").read_text())
ALERTS: Final[list[dict[str, Any]]] = [rule for group in RULES["groups"] for rule in group["rules"]]
BOARD: Final = json.loads((REPOSITORY / "deploy/grafana/midstream.json").read_text())
PANELS: Final = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
QUERIES: Final = [
    *(alert["expr"] for alert in ALERTS),
    *(target["expr"] for panel in PANELS for target in panel["targets"]),
]

PARSE: Final = """
import json, sys
import promql_parser
for query in json.load(sys.stdin):
    promql_parser.parse(query)
print("true")
"""


async def test_every_name_is_of_a_metric_of_the_gateway(exposed: dict[str, str]) -> None:
    """A misspelt metric is an alert that never comes."""
    series = set()
    for name, kind in exposed.items():
        endings = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}
        series |= {name.removesuffix("_total") + end for end in endings.get(kind, [])}
        series |= {name} if kind == "gauge" else set()
    asked = {name for query in QUERIES for name in re.findall(r"midstream_\w+", query)}
    assert asked - series == set()
    assert len(asked) > 20


@pytest.fixture
async def exposed() -> dict[str, str]:
    """The metrics of a gateway's `/metrics`, by name: the kind of each."""
    answer = await request(make_app(FakeSessions()), "GET", "/metrics")
    return dict(re.findall(r"^# TYPE (midstream_\w+) (\w+)$", answer.body.decode(), re.MULTILINE))


async def test_every_metric_is_told_in_the_docs(exposed: dict[str, str]) -> None:
    """Of the signals; `_created` is Prometheus's own."""
    told = (REPOSITORY / "docs/operations.md").read_text()
    names = {name for name in exposed if not name.endswith("_created")}
    shown = {name for query in QUERIES for name in names if name in query}
    assert {name for name in names - shown if name not in told} == set()


def test_labels_and_buckets_of_the_queries_are_those_of_the_gateway() -> None:
    """A comparison with a bucket that does not exist is never true."""
    assert 'le="30.0"' in "".join(QUERIES)
    buckets = {float(found) for query in QUERIES for found in re.findall(r'le="([\d.]+)"', query)}
    assert buckets <= set(RUN_SILENCE_SECONDS._upper_bounds)


def test_each_alert_has_a_paragraph_of_what_to_do() -> None:
    """What people feel, what to look at, what to do; and no paragraph is of an alert of old."""
    text = (REPOSITORY / "docs/operations.md").read_text()
    paragraphs = dict(re.findall(r"^### (Midstream\w+)\n\n(.+?)(?=\n##)", text, re.M | re.S))
    assert paragraphs.keys() == {alert["alert"] for alert in ALERTS}
    for name, paragraph in paragraphs.items():
        found = re.findall(r"^\*(People feel|Look at|Do):\*", paragraph, re.MULTILINE)
        assert found == ["People feel", "Look at", "Do"], name
    for alert in ALERTS:
        assert alert["annotations"]["summary"].endswith(".")
        assert alert["labels"]["severity"] in ("warning", "critical")


def test_each_failure_has_a_row() -> None:
    """Rows and panels do not overlap, and each panel says what it shows."""
    rows = [panel["title"] for panel in BOARD["panels"] if panel["type"] == "row"]
    assert rows[:3] == ["Dropped sessions", "Silent agents", "Trapped users"]
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    assert all(panel["description"] for panel in PANELS)
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in BOARD["panels"]]
    assert len(set(places)) == len(places)


@pytest.mark.release
def test_prometheus_language_has_every_query() -> None:
    queries = [query.replace("$__rate_interval", "5m") for query in QUERIES]
    assert ask(PARSE, given=queries) is True
