"""Checks that these files may be released: one version everywhere, with a changelog entry.

python scripts/versions.py [v0.2.0]    the tag to release, if there is one
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]


def said() -> dict[str, str]:
    """Return each file's version, by the file; the changelog's is that of its newest entry."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module = (ROOT / "gateway" / "version.py").read_text()
    workspace = ROOT / "demo-ui"
    lock = json.loads((workspace / "package-lock.json").read_text())["packages"]
    demo = json.loads((workspace / "app" / "package.json").read_text())["dependencies"]
    return {
        "pyproject.toml": project["version"],
        "gateway/version.py": _first(r'^VERSION: Final = "(.+)"', module),
        "demo-ui/transport/package.json": json.loads(
            (workspace / "transport" / "package.json").read_text()
        )["version"],
        "demo-ui/app/package.json": demo["midstream-chat"],
        "demo-ui/package-lock.json": lock["transport"]["version"],
        "deploy/helm/midstream/Chart.yaml": _first(
            r"^version: (\S+)", (ROOT / "deploy" / "helm" / "midstream" / "Chart.yaml").read_text()
        ),
        "CHANGELOG.md": _first(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text()),
    }


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.M)
    return found[1] if found else "nothing"


def faults(versions: dict[str, str], tag: str = "") -> list[str]:
    """Return the reasons why these versions cannot be released, a sentence each."""
    wanted = tag.removeprefix("v") or versions["pyproject.toml"]
    return [
        f"{file} says {version}, not {wanted}"
        for file, version in versions.items()
        if version != wanted
    ]


def main() -> int:
    """Print the faults; return an exit code."""
    wrong = faults(said(), *sys.argv[1:2])
    for line in wrong:
        print(f"midstream: unable to release; {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
