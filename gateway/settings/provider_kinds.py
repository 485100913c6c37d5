"""The kinds of providers: a row each, and the only place that names them all.

A new one is a folder in `gateway/providers`, and a row here: CONTRIBUTING.md has the recipe. A row
names the module of its code and does not import it: settings are read where no provider is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from msgspec import Struct

from midstream.settings.azure import check_azure
from midstream.settings.providers import ProviderSettings

CheckSettings: TypeAlias = Callable[[str, ProviderSettings, Mapping[str, str]], None]
"""Checks a provider's settings: its name, they, the environment. Raises SettingsError."""


class ProviderKind(Struct, frozen=True, kw_only=True):
    """A kind of provider.

    Attributes:
        name: in settings. A provider of this name exists without any.
        code: the module that has its `ROW`; see `providers/row.py`.
        key_variable: the environment variable that usually holds its key.
        models: of its agent where none is configured, the default first; empty: it has none.
        simulator: the name of the simulated provider that speaks the same API, if there is one.
        check: for the settings that it needs besides.
    """

    name: str
    code: str
    key_variable: str
    models: tuple[str, ...] = ()
    simulator: str | None = None
    check: CheckSettings | None = None


KINDS: Final = {
    kind.name: kind
    for kind in (
        ProviderKind(
            name="anthropic",
            code="midstream.providers.anthropic.row",
            key_variable="ANTHROPIC_API_KEY",
            models=("claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-5-5"),
            simulator="simulator",
        ),
        ProviderKind(
            name="openai",
            code="midstream.providers.openai_responses.row",
            key_variable="OPENAI_API_KEY",
            models=("gpt-5.4", "gpt-5.4-mini"),
            simulator="simulator-openai",
        ),
        ProviderKind(
            name="openai-chat",
            code="midstream.providers.openai_chat.row",
            key_variable="OPENAI_API_KEY",
            simulator="simulator-openai-chat",
        ),
        ProviderKind(
            name="azure",
            code="midstream.providers.azure.responses_row",
            key_variable="AZURE_API_KEY",
            check=check_azure,
        ),
        ProviderKind(
            name="azure-chat",
            code="midstream.providers.azure.chat_row",
            key_variable="AZURE_API_KEY",
            check=check_azure,
        ),
    )
}
"""Kinds by name."""


def simulators() -> dict[str, ProviderKind]:
    """Return the kinds that have a simulated provider, by its name."""
    return {kind.simulator: kind for kind in KINDS.values() if kind.simulator is not None}


def kind_name(name: str, provider: ProviderSettings) -> str:
    """Return the name of a provider's kind."""
    return provider.kind or name


def key_variable(name: str, provider: ProviderSettings) -> str:
    """Return the environment variable that holds a provider's key; empty if it needs none."""
    kind = KINDS.get(kind_name(name, provider))
    return provider.api_key_env or ("" if kind is None else kind.key_variable)
