"""The providers as the settings configure them: for agents, and for the proxy."""

from __future__ import annotations

import logging
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from msgspec import structs

from midstream.errors import ProviderError, SettingsError
from midstream.providers.passthrough.upstreams import Upstream, Upstreams
from midstream.providers.registry import ROWS, simulated_apis, simulated_url
from midstream.providers.sdk_client import ClientOptions
from midstream.providers.stream.sse_step import TimeLimits
from midstream.settings.provider_kinds import key_variable, kind_name, simulators
from midstream.settings.providers import ProviderSettings
from midstream.settings.sections import LOOPBACK
from midstream.simulator import create_simulator
from midstream.simulator.server import serve_simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AsyncExitStack

    from midstream.providers.base import Provider
    from midstream.providers.passthrough.api import ProxyVendor
    from midstream.settings.sections import Settings

logger = logging.getLogger(__name__)

SIMULATED_KEY: Final = "simulated"


class Providers:
    """Providers by name, each made once; closed with the stack.

    Args:
        simulator_url: where the simulated providers are.
    """

    def __init__(
        self, settings: Mapping[str, ProviderSettings], stack: AsyncExitStack, simulator_url: str
    ) -> None:
        self._settings = settings
        self._stack = stack
        self._simulator_url = simulator_url
        self._made: dict[str, Provider] = {}

    def get(self, name: str) -> Provider:
        """Return a provider."""
        provider = self._made.get(name)
        if provider is None:
            provider = self._made[name] = self._make(name)
            self._stack.push_async_callback(provider.close)
        return provider

    async def warm_up(self) -> None:
        """Have each provider's SDK at hand before the first message asks for it."""
        for name, provider in self._made.items():
            try:
                await provider.warm_up()
            except ProviderError as error:
                # Each message to it fails with this; the other providers work.
                logger.warning("provider_unusable provider=%s reason=%s", name, error)

    def _make(self, name: str) -> Provider:
        settings = self._settings.get(name, ProviderSettings())
        options = ClientOptions(
            api_key=os.environ.get(key_variable(name, settings)) or None,
            base_url=settings.base_url or None,
            max_retries=settings.max_retries,
            limits=time_limits(settings),
        )
        simulated = simulators().get(name)
        if simulated is None:
            return ROWS[kind_name(name, settings)].make(name, settings, options)
        row = ROWS[simulated.name]
        options = structs.replace(
            options, api_key=SIMULATED_KEY, base_url=simulated_url(self._simulator_url, row)
        )
        # It stands for the vendor's own server.
        own = structs.replace(settings, compatible=settings.compatible or False)
        return row.make(name, own, options)


def time_limits(settings: ProviderSettings) -> TimeLimits:
    """Return how long a provider may take."""
    return TimeLimits(
        connect_s=settings.connect_timeout_s,
        first_byte_s=settings.first_byte_timeout_s,
        between_bytes_s=settings.between_bytes_timeout_s,
    )


@asynccontextmanager
async def open_upstreams(settings: Settings) -> AsyncIterator[Upstreams]:
    """Prepare the proxy's upstreams; nothing is connected before the first request.

    Raises:
        SettingsError: a provider is to be called with the gateway's key, which is not set.
    """
    upstreams = Upstreams(known_upstreams(settings, os.environ), simulators(), simulated_upstreams)
    try:
        yield upstreams
    finally:
        await upstreams.close()


def known_upstreams(settings: Settings, environment: Mapping[str, str]) -> dict[str, Upstream]:
    """Return the providers that the proxy reaches, by name. Raises SettingsError."""
    # A backend's base URL may be set for the whole machine: here it means the provider.
    elsewhere = {
        name: value
        for name, value in environment.items()
        if not _is_own_proxy(value, settings.server.port)
    }
    found = {}
    for name in {**settings.providers, **ROWS}:
        provider = settings.providers.get(name, ProviderSettings())
        vendor = ROWS[kind_name(name, provider)].vendor
        if vendor is not None:
            found[name] = _upstream(name, provider, vendor, elsewhere)
    return found


@asynccontextmanager
async def simulated_upstreams() -> AsyncIterator[Mapping[str, Upstream]]:
    """Start the simulated providers; yields them by name."""
    async with serve_simulator(create_simulator(simulated_apis())) as url:
        limits = time_limits(ProviderSettings())
        yield {
            name: Upstream(vendor=row.vendor, base_url=simulated_url(url, row), limits=limits)
            for name, kind in simulators().items()
            if (row := ROWS[kind.name]).vendor is not None
        }


def _upstream(
    name: str, settings: ProviderSettings, vendor: ProxyVendor, environment: Mapping[str, str]
) -> Upstream:
    key = None
    if settings.proxy_key == "gateway":
        variable = key_variable(name, settings)
        key = environment.get(variable)
        if not key:
            raise SettingsError(
                f"unable to use the setting `providers.{name}.proxy_key`; set {variable} to "
                "the gateway's key, or leave the callers theirs"
            )
    named = settings.base_url or environment.get(vendor.base_url_variable)
    base_url = (named or vendor.base_url).rstrip("/")
    is_other = not vendor.is_own(base_url) if settings.compatible is None else settings.compatible
    return Upstream(
        vendor=vendor,
        base_url=base_url,
        key=key,
        compatible=name if is_other else None,
        limits=time_limits(settings),
    )


def _is_own_proxy(value: str, port: int) -> bool:
    """Whether a variable's value is the address of this gateway's proxy: a call would go round."""
    if "/proxy/" not in value:
        return False
    try:
        parts = urlsplit(value)
        return parts.hostname in LOOPBACK and parts.port == port
    except ValueError:
        return False
