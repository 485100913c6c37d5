"""The row of Azure's Responses in the registry.

Azure's deployments have addresses of their own form, and its SDKs other headers: they do not pass
through the proxy.
"""

from __future__ import annotations

from typing import Final

from midstream.providers.azure.provider import AzureResponsesProvider
from midstream.providers.row import ProviderRow

ROW: Final = ProviderRow(make=AzureResponsesProvider.configured)
