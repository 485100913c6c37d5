"""The toy's row in the registry."""

from __future__ import annotations

from typing import Final

from midstream.providers.row import ProviderRow
from tests.toy_provider.prompt import sdk_prompt
from tests.toy_provider.provider import ToyProvider
from tests.toy_provider.proxied import SPEAK, TOY
from tests.toy_provider.simulated import SimulatedToy

ROW: Final = ProviderRow(
    make=ToyProvider.configured,
    prompt=sdk_prompt,
    vendor=TOY,
    api=SPEAK,
    simulated=SimulatedToy,
)
