"""The code of a kind of provider, as the registry has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from midstream.providers.base import Provider, StepRequest
from midstream.providers.passthrough.api import ProxiedApi, ProxyVendor
from midstream.providers.sdk_client import ClientOptions
from midstream.settings.providers import ProviderSettings
from midstream.simulator.api import SimulatedApi


class ProviderRow(Struct, frozen=True, kw_only=True):
    """Code of a kind of provider.

    Attributes:
        make: returns a provider, from its name, its settings and how it is reached.
        prompt: returns a conversation as arguments of its SDK; None: agents do not call it.
        vendor: how its servers are spoken to; None: the proxy does not reach it.
        api: its calls that can be runs of a session, through any provider at the proxy.
        simulated: simulates its API, under the name that its kind has for it.
    """

    make: Callable[[str, ProviderSettings, ClientOptions], Provider]
    prompt: Callable[[StepRequest], dict[str, Any]] | None = None
    vendor: ProxyVendor | None = None
    api: ProxiedApi | None = None
    simulated: type[SimulatedApi] | None = None
