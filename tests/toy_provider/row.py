"""The row that stands for the toy in the registry."""

from __future__ import annotations

from typing import Final

from midstream.providers.registry import ProviderRow
from midstream.settings.provider_kinds import ProviderKind
from tests.toy_provider.prompt import sdk_prompt
from tests.toy_provider.provider import ToyProvider
from tests.toy_provider.proxied import SPEAK, TOY
from tests.toy_provider.simulated import SimulatedToy

ROW: Final = ProviderRow(
    kind=ProviderKind(
        name="toy", key_variable="TOY_API_KEY", models=("loud",), simulator="simulator-toy"
    ),
    make=ToyProvider.configured,
    prompt=sdk_prompt,
    vendor=TOY,
    api=SPEAK,
    simulated=SimulatedToy,
)
