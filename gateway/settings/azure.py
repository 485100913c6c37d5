"""Checks of a provider's settings at Azure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midstream.errors import SettingsError
from midstream.settings.fields import is_http_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from midstream.settings.providers import ProviderSettings

RESOURCE_VARIABLE = "AZURE_RESOURCE_NAME"


def check_azure(name: str, provider: ProviderSettings, environment: Mapping[str, str]) -> None:
    """See `CheckSettings`."""
    if provider.compatible is True:
        raise SettingsError(
            f"unable to use the setting `providers.{name}.compatible`; Azure serves OpenAI's own "
            "models, so leave it out, or use the kind `openai-chat` for another server"
        )
    if provider.base_url:
        if not is_http_url(provider.base_url):
            raise SettingsError(
                f"unable to use the setting `providers.{name}.base_url`; it must begin with "
                "http:// or https:// and name a host"
            )
    elif not (provider.resource or environment.get(RESOURCE_VARIABLE)):
        raise SettingsError(
            f"unable to use the provider `{name}`; set its `resource` or `base_url`, or "
            f"{RESOURCE_VARIABLE}"
        )
