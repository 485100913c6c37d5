"""The registry of providers, beside what the settings and their page say of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from midstream.providers.registry import ROWS, proxied_api, row_of, simulated_apis
from midstream.settings.provider_kinds import KINDS, simulators
from midstream.simulator.app import APIS

REPOSITORY = Path(__file__).resolve().parents[4]


def test_each_kind_has_its_row_in_a_folder_of_the_providers() -> None:
    """A module with a wrong name would fail when the gateway starts."""
    assert list(ROWS) == list(KINDS)
    folders = {kind.code.rpartition(".")[0] for kind in KINDS.values()}
    assert {folder.rpartition(".")[0] for folder in folders} == {"midstream.providers"}


def test_module_whose_row_is_none_is_refused() -> None:
    """Its author reads which module it is."""
    kind = structs.replace(KINDS["azure"], code="tests.unit.gateway.providers.no_row")
    with pytest.raises(TypeError, match=r"no_row\.ROW must be a ProviderRow"):
        row_of(kind)


def test_page_of_the_settings_names_each_kind() -> None:
    """Operators find there what they may write."""
    page = (REPOSITORY / "docs/settings.md").read_text()
    assert [name for name in KINDS if f"`{name}`" not in page] == []


def test_simulated_providers_are_those_of_the_rows_and_of_the_simulator_alone() -> None:
    """Each named simulator is served, inside the gateway and by itself."""
    assert {ROWS[kind.name].simulated for kind in simulators().values()} == set(simulated_apis())
    assert set(simulated_apis()) == set(APIS)


@pytest.mark.parametrize("prefix", ["", "v1/"])
def test_api_of_a_call_is_found_by_its_path(prefix: str) -> None:
    """SDKs may be given `/proxy/NAME` or `/proxy/NAME/v1`; no two APIs have one path."""
    apis = [row.api for row in ROWS.values() if row.api is not None]
    assert [proxied_api(f"{prefix}{api.path}") for api in apis] == apis
    assert proxied_api(f"{prefix}models") is None
