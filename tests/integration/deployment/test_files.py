"""The deployment's files: what the tools of each format say of them, and what they agree on."""

from __future__ import annotations

import re
import subprocess
import tomllib
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]

from midstream.settings.sections import ServerSettings
from tests.support.deploy_tools import HADOLINT, ask
from tests.support.processes import REPOSITORY

pytestmark = pytest.mark.release

CHART: Final = "deploy/helm/midstream"
KUBERNETES: Final = ("1.30", "1.34")
"""The oldest version that the chart allows, and a later one."""

RENDER: Final = """
import json, sys
from helm_python.chart import Chart, lint
values = json.load(sys.stdin)
with Chart.load(sys.argv[1]) as chart:
    rendered = chart.render(values=values, name="demo")
print(json.dumps({"lint": lint(sys.argv[1], values=values), "files": rendered}))
"""

VALIDATE: Final = """
import json, sys
import kubernetes_validate
for item in json.load(sys.stdin):
    kubernetes_validate.validate(item, sys.argv[1], strict=True)
print("true")
"""

COMPOSE: Final = """
import json, sys
import compose_spec, yaml
file = yaml.safe_load(open(sys.argv[1]))  # with its merge keys, which compose resolves
print(json.dumps(compose_spec.PyCompose.from_json(json.dumps(file)).to_dict()))
"""

NEEDED: Final = {
    "image": {"repository": "registry.example.com/midstream"},
    "redis": {"url": "redis://db-1:6379"},
}
EVERYTHING: Final = {
    "image": {"repository": "registry.example.com/midstream", "tag": "1"},
    "redis": {"existingSecret": "redis"},
    "trustedProxies": ["10.0.0.0/8"],
    "autoscaling": {"enabled": True},
    "ingress": {"enabled": True, "className": "nginx", "tlsSecret": "certificate"},
    "envFrom": [{"secretRef": {"name": "keys"}}],
    "env": [{"name": "MIDSTREAM_SERVER_LOG_LEVEL", "value": "debug"}],
    "imagePullSecrets": [{"name": "registry"}],
    "nodeSelector": {"disk": "fast"},
    "service": {"annotations": {"a": "b"}},
}


def rendered(values: object) -> list[dict[str, Any]]:
    """Render the chart; return its Kubernetes objects."""
    said = ask(RENDER, CHART, given=values)
    assert said["lint"]["errors"] == []
    assert [told for told in said["lint"]["messages"] if told["severity"] > 1] == []
    texts = [text for name, text in said["files"].items() if name.endswith(".yaml")]
    return [item for text in texts for item in yaml.safe_load_all(text) if item]


def of_kind(kind: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the only object of a kind."""
    (found,) = (item for item in items if item["kind"] == kind)
    return found


def test_hadolint_has_nothing_to_say_of_the_dockerfile() -> None:
    command = [HADOLINT, REPOSITORY / "Dockerfile"]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
    assert (done.returncode, done.stdout) == (0, b"")


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("values", [NEEDED, EVERYTHING], ids=["needed", "everything"])
def test_kubernetes_takes_what_the_chart_renders(values: object, version: str) -> None:
    """Unknown fields are refused, too."""
    assert ask(VALIDATE, version, given=rendered(values)) is True


def test_pod_has_the_time_that_its_shutdown_takes() -> None:
    """Its pause before SIGTERM, the runs' time to finish, and the last steps."""
    for values in (NEEDED, {**NEEDED, "drainLimitSeconds": 120}):
        pod = of_kind("Deployment", rendered(values))["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        drain = next(
            int(one["value"])
            for one in container["env"]
            if one["name"] == "MIDSTREAM_SERVER_DRAIN_LIMIT_S"
        )
        pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert pod["terminationGracePeriodSeconds"] == pause + drain + 7
        assert pod["enableServiceLinks"] is False


def test_chart_says_which_value_is_missing() -> None:
    with pytest.raises(AssertionError, match=r"redis\.url or redis\.existingSecret is required"):
        rendered({"image": NEEDED["image"]})
    with pytest.raises(AssertionError, match=r"image\.repository is required"):
        rendered({"redis": NEEDED["redis"]})
    with pytest.raises(AssertionError, match=r"redis"):
        rendered({**NEEDED, "redis": {"url": "http://db-1"}})


def test_compose_file_follows_the_specification() -> None:
    """Its gateways are built here, listen for Caddy alone, and have time to end."""
    services = ask(COMPOSE, "deploy/compose.yml")["services"]
    for name in ("gateway-a", "gateway-b"):
        gateway = services[name]
        assert "image" not in gateway
        assert "ports" not in gateway
        period = int(re.fullmatch(r"(\d+)s", gateway["stop_grace_period"])[1])  # type: ignore[index]
        assert period >= ServerSettings().drain_limit_s + 7
    for name, service in services.items():
        for port in service.get("ports", ()):
            text = port if isinstance(port, str) else port["host_ip"]
            assert text.startswith("127.0.0.1"), name


def test_versions_of_the_chart_are_those_of_the_gateway() -> None:
    chart = yaml.safe_load((REPOSITORY / CHART / "Chart.yaml").read_text())
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert chart["version"] == chart["appVersion"] == project["version"]
