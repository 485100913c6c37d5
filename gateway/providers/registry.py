"""The providers: a row each, and the only place that names them all.

A new one is a folder beside the others, and a row here: CONTRIBUTING.md has the recipe.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from midstream.providers.anthropic.prompt import request as anthropic_request
from midstream.providers.anthropic.provider import AnthropicProvider
from midstream.providers.anthropic.proxied import ANTHROPIC, MESSAGES
from midstream.providers.azure.provider import AzureChatProvider, AzureResponsesProvider
from midstream.providers.base import Provider, StepRequest
from midstream.providers.openai.proxied import OPENAI
from midstream.providers.openai_chat import prompt as chat_prompt
from midstream.providers.openai_chat.provider import OpenAIChatProvider
from midstream.providers.openai_chat.proxied import CHAT
from midstream.providers.openai_responses.prompt import request as responses_request
from midstream.providers.openai_responses.provider import OpenAIResponsesProvider
from midstream.providers.openai_responses.proxied import RESPONSES
from midstream.providers.passthrough.api import ProxiedApi, ProxyVendor
from midstream.providers.sdk_client import ClientOptions
from midstream.settings import provider_kinds
from midstream.settings.provider_kinds import ProviderKind
from midstream.settings.providers import ProviderSettings
from midstream.simulator.anthropic.wire import SimulatedMessages
from midstream.simulator.api import SimulatedApi
from midstream.simulator.openai_chat.wire import SimulatedChat
from midstream.simulator.openai_responses.wire import SimulatedResponses


class ProviderRow(Struct, frozen=True, kw_only=True):
    """A kind of provider.

    Attributes:
        kind: what the settings know of it.
        make: returns a provider, from its name, its settings and how it is reached.
        prompt: returns a conversation as arguments of its SDK; None: agents do not call it.
        vendor: how its servers are spoken to; None: the proxy does not reach it.
        api: its calls that can be runs of a session, through any provider at the proxy.
        simulated: what answers as it does; `kind.simulator` is its name.
    """

    kind: ProviderKind
    make: Callable[[str, ProviderSettings, ClientOptions], Provider]
    prompt: Callable[[StepRequest], dict[str, Any]] | None = None
    vendor: ProxyVendor | None = None
    api: ProxiedApi | None = None
    simulated: type[SimulatedApi] | None = None


ROWS: Final = {
    row.kind.name: row
    for row in (
        ProviderRow(
            kind=provider_kinds.ANTHROPIC,
            make=AnthropicProvider.configured,
            prompt=anthropic_request.sdk_prompt,
            vendor=ANTHROPIC,
            api=MESSAGES,
            simulated=SimulatedMessages,
        ),
        ProviderRow(
            kind=provider_kinds.OPENAI_RESPONSES,
            make=OpenAIResponsesProvider.configured,
            prompt=responses_request.sdk_prompt,
            vendor=OPENAI,
            api=RESPONSES,
            simulated=SimulatedResponses,
        ),
        ProviderRow(
            kind=provider_kinds.OPENAI_CHAT,
            make=OpenAIChatProvider.configured,
            prompt=chat_prompt.sdk_prompt,
            vendor=OPENAI,
            api=CHAT,
            simulated=SimulatedChat,
        ),
        # Deployments have addresses of their own form, and Azure's SDKs other headers: neither
        # passes through the proxy.
        ProviderRow(
            kind=provider_kinds.AZURE_RESPONSES,
            make=AzureResponsesProvider.configured,
        ),
        ProviderRow(
            kind=provider_kinds.AZURE_CHAT,
            make=AzureChatProvider.configured,
        ),
    )
}
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
