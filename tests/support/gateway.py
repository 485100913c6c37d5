"""Real gateway processes: `python -m midstream serve` over the test's Redis and simulator."""

from __future__ import annotations

import json
import signal
import sys
import urllib.request
from typing import TYPE_CHECKING, Final

from midstream.settings.sections import RunSettings
from tests.support.processes import MEASURES_COVERAGE, REPOSITORY, ChildProcess, free_port
from tests.support.wire import Endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Settings = dict[str, dict[str, object]]
"""Tables of midstream.toml: `{table: {key: value}}`."""

SHORT_LEASE: Final[Settings] = {
    "runs": {"lease_s": 4.0, "renew_interval_s": 0.5, "reaper_tick_s": 0.5}
}
"""The leases of gateways under test: waits for a lease's end are short, and no run is an orphan for
a Redis, or a gateway, that a busy machine keeps waiting for a second or two."""

UNLIMITED: Final[Settings] = {
    "limits": {"sends_per_minute": 0, "open_runs": 0, "open_streams": 0},
}
"""The limits of gateways under test: all tests send from one address."""

DEFAULT_LEASE: Final[Settings] = {
    "runs": {name: getattr(RunSettings(), name) for name in SHORT_LEASE["runs"]}
}
"""The leases of gateways by default."""


def write_settings(path: Path, settings: Mapping[str, Mapping[str, object]]) -> None:
    """Write a midstream.toml. JSON's scalars and arrays are TOML's too."""
    lines: list[str] = []
    for table, values in settings.items():
        lines.append(f"[{table}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    path.write_text("\n".join(lines) + "\n")


def merged(*layers: Mapping[str, Mapping[str, object]]) -> Settings:
    """Return the tables of all layers; later keys win."""
    result: Settings = {}
    for layer in layers:
        for table, values in layer.items():
            result.setdefault(table, {}).update(values)
    return result


NEWEST_CLIENT: Final = {"x-ai-sdk-version": "7"}
"""Gets every chunk of the log, so that its sequences have no gaps."""


class GatewayProcess:
    """One `serve`, ready when constructed.

    Args:
        folder: its own folder, for settings, data and log.
        redis_url: None for the embedded Redis.
        simulator_url: the address of its models.
        settings: override the defaults, which are short leases and simulated agents.
        arguments: further arguments of the command.
        environment: further variables.
        wait: return when it is ready; otherwise call `wait_ready`.
        forked: see ChildProcess; otherwise it is started as a person starts it.
        source: the tree of its gateway (`versions.py`); another tree is never forked.
        python: what runs it.
    """

    def __init__(
        self,
        folder: Path,
        redis_url: str | None,
        simulator_url: str,
        settings: Settings | None = None,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        *,
        wait: bool = True,
        forked: bool = True,
        source: Path = REPOSITORY,
        python: str = sys.executable,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.at = Endpoint(free_port(), NEWEST_CLIENT)
        config = folder / "midstream.toml"
        defaults = merged(agents_at(simulator_url), SHORT_LEASE, UNLIMITED)
        if source != REPOSITORY:  # an earlier version, which refuses unknown settings
            defaults["providers.openai-chat"].pop("compatible")
            for table in UNLIMITED:
                del defaults[table]
        write_settings(config, merged(defaults, settings or {}))
        # Its name before 0.2.0 was that of its folder.
        modules = source / "src" if (source / "src").is_dir() else source
        package = "gateway" if modules == source else "midstream"
        command = [
            *(python, "-m", package, "serve"),
            *("--host", "127.0.0.1", "--port", str(self.at.port)),
            *("--config", str(config), "--data-dir", str(folder / "data")),
            *(("--redis-url", redis_url) if redis_url else ()),
            *arguments,
        ]
        self.process = ChildProcess(
            f"gateway {folder.name}",
            command,
            folder / "log",
            {**API_KEYS, "PYTHONPATH": str(modules), **(environment or {})},
            where=source,
            forked=forked and source == REPOSITORY,
        )
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until it serves; if it ends instead, fail with its output."""
        self.process.wait_ready(self.is_ready)

    def is_ready(self) -> bool:
        """Whether /readyz answers 200."""
        try:
            with urllib.request.urlopen(f"{self.at.url}/readyz", timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False

    def terminate(self) -> None:
        """Ask it to shut down (SIGTERM)."""
        self.process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        """Kill it and all of its children: its end is not under test."""
        if MEASURES_COVERAGE:
            self.process.end()
        else:
            self.process.kill()


API_KEYS: Final = {
    "ANTHROPIC_API_KEY": "sk-test-anthropic-2f6c1d",
    "OPENAI_API_KEY": "sk-test-openai-9b83e0",
}
"""The gateways' keys; tests check that none of them appears anywhere."""


def agents_at(simulator_url: str) -> Settings:
    """Return an agent for each provider, the first the default, all of them simulated."""
    agents: Settings = {
        f"agents.{agent}": {"provider": provider, "model": "sim-instant"}
        for agent, provider in (
            ("assistant", "anthropic"),
            ("responses", "openai"),
            ("completions", "openai-chat"),
        )
    }
    return {
        **agents,
        "agents.assistant.parameters": {"max_output_tokens": 200_000},
        "providers.anthropic": {"base_url": f"{simulator_url}/anthropic"},
        "providers.openai": {"base_url": f"{simulator_url}/openai/v1"},
        # It stands for OpenAI's own.
        "providers.openai-chat": {"base_url": f"{simulator_url}/openai/v1", "compatible": False},
    }
