"""The row of Azure's Chat Completions in the registry.

Azure's deployments have addresses of their own form, and its SDKs other headers: they do not pass
through the proxy.
"""

from __future__ import annotations

from typing import Final

from midstream.providers.azure.provider import AzureChatProvider
from midstream.providers.row import ProviderRow

ROW: Final = ProviderRow(make=AzureChatProvider.configured)
