"""The code of every kind of provider, by the kind's name.

`settings/provider_kinds.py` has the kinds, and names the module of each one's `ROW`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from midstream.providers.openai.proxied import OPENAI
from midstream.providers.row import ProviderRow
from midstream.settings.provider_kinds import KINDS

if TYPE_CHECKING:
    from midstream.providers.passthrough.api import ProxiedApi
    from midstream.settings.provider_kinds import ProviderKind
    from midstream.simulator.api import SimulatedApi


def row_of(kind: ProviderKind) -> ProviderRow:
    """Return the code of a kind."""
    row = import_module(kind.code).ROW
    if not isinstance(row, ProviderRow):
        raise TypeError(f"{kind.code}.ROW must be a ProviderRow")
    return row


ROWS: Final = {name: row_of(kind) for name, kind in KINDS.items()}
"""Kind -> its row."""

USUAL_VENDOR: Final = OPENAI
"""The vendor in whose shape a request without a known provider is refused."""


def simulated_apis() -> list[type[SimulatedApi]]:
    """Return what is simulated, for `create_simulator`."""
    return [row.simulated for row in ROWS.values() if row.simulated is not None]


def simulated_url(url: str, row: ProviderRow) -> str:
    """Return the base URL of a simulated provider, from that of the simulator."""
    return url if row.simulated is None else url + row.simulated.base_path


def proxied_api(path: str) -> ProxiedApi | None:
    """Return the API whose calls have a path, with or without `v1/` before it."""
    path = path.removeprefix("v1/")
    return next((row.api for row in ROWS.values() if row.api and row.api.path == path), None)
