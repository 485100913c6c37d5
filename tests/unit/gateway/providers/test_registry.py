"""The registry of providers, beside what the settings and their page say of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from midstream.providers.registry import ROWS, proxied_api, simulated_apis
from midstream.settings.provider_kinds import KINDS, simulators
from midstream.simulator.app import APIS

REPOSITORY = Path(__file__).resolve().parents[4]


def test_each_kind_that_settings_know_has_its_row() -> None:
    """A kind without code would fail with its first message; a row without a kind is not found."""
    assert {name: row.kind for name, row in ROWS.items()} == KINDS


def test_page_of_the_settings_names_each_kind() -> None:
    """Operators find there what they may write."""
    page = (REPOSITORY / "docs/settings.md").read_text()
    assert [name for name in KINDS if f"`{name}`" not in page] == []


def test_simulated_providers_are_those_of_the_rows_and_of_the_simulator_alone() -> None:
    """What a name promises is served, with the gateway and without it."""
    assert {ROWS[kind.name].simulated for kind in simulators().values()} == set(simulated_apis())
    assert set(simulated_apis()) == set(APIS)


@pytest.mark.parametrize("prefix", ["", "v1/"])
def test_api_of_a_call_is_found_by_its_path(prefix: str) -> None:
    """SDKs may be given `/proxy/NAME` or `/proxy/NAME/v1`; no two APIs have one path."""
    apis = [row.api for row in ROWS.values() if row.api is not None]
    assert [proxied_api(f"{prefix}{api.path}") for api in apis] == apis
    assert proxied_api(f"{prefix}models") is None
