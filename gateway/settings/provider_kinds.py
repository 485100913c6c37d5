"""The settings' view of a kind of provider; `providers/registry.py` has the kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from msgspec import Struct

from midstream.settings.providers import ProviderSettings

CheckSettings: TypeAlias = Callable[[str, ProviderSettings, Mapping[str, str]], None]
"""Checks a provider's settings: its name, they, the environment. Raises SettingsError."""


class ProviderKind(Struct, frozen=True, kw_only=True):
    """A kind of provider.

    Attributes:
        name: in settings. A provider of this name exists without any.
        key_variable: the environment variable that usually holds its key.
        models: of its agent where none is configured, the default first; empty: it has none.
        simulator: the name of the simulated provider that speaks the same API, if there is one.
        check: for the settings that it needs besides.
    """

    name: str
    key_variable: str
    models: tuple[str, ...] = ()
    simulator: str | None = None
    check: CheckSettings | None = None


def kind_name(name: str, provider: ProviderSettings) -> str:
    """Return the name of a provider's kind."""
    return provider.kind or name
