"""Azure OpenAI: OpenAI's APIs at a resource of one's own, whose deployments are the models.

Metadata of its parts is `azure`'s: what one of the two has stored, the other does not know.

Source: @ai-sdk/azure 4.0.85, `azure-openai-provider.ts`; its Responses model names metadata after
the provider, its Chat Completions model does not.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import UNSET, Raw, Struct, structs

from midstream.protocol.codec import UNREADABLE
from midstream.protocol.messages import UIMessage
from midstream.providers.openai.client import OpenAIClient
from midstream.providers.openai_chat.provider import OpenAIChatProvider
from midstream.providers.openai_responses.provider import OpenAIResponsesProvider
from midstream.settings.azure import RESOURCE_VARIABLE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from midstream.protocol.chunks import AnyChunk
    from midstream.providers.base import Room, StepRequest, StepResult, StepStream, Take
    from midstream.providers.sdk_client import ClientOptions
    from midstream.settings.providers import ProviderSettings

_HOSTS: Final = (".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")
_OPENAI: Final = b'{"openai":'
_AZURE: Final = b'{"azure":'
_INNER: Final = b'"providerMetadata":'
_METADATA: Final = (
    "providerMetadata",
    "callProviderMetadata",
    "resultProviderMetadata",
    "providerReference",
)


class AzureAddress(Struct, frozen=True):
    """Address of a resource's API.

    Attributes:
        base_url: before the path.
        api_version: in the query; None: the address has it, or the gateway behind it adds it.
        by_deployment: the deployment stands in the address.
    """

    base_url: str
    api_version: str | None = None
    by_deployment: bool = False


def azure_address(
    *, resource: str, base_url: str, api_version: str, by_deployment: bool
) -> AzureAddress:
    """Return the address of a resource, or of a gateway before it.

    Args:
        resource: its name; not looked at with a `base_url`.
        base_url: up to `/openai`, or to `/openai/v1`, or anything of a gateway's.
        api_version: sent where the address leaves it open.
        by_deployment: see `AzureAddress`.
    """
    base_url = (base_url or f"https://{resource}.openai.azure.com/openai").rstrip("/")
    if by_deployment:
        return AzureAddress(base_url, api_version, by_deployment=True)
    parts = urlsplit(base_url)
    host, path = parts.hostname or "", parts.path.rstrip("/")
    if not host.endswith(_HOSTS) or path.lower().endswith("/openai/v1"):
        return AzureAddress(base_url)
    is_project = host.endswith(".services.ai.azure.com") and path.startswith("/api/projects/")
    return AzureAddress(f"{base_url}/v1", None if is_project else api_version)


class AzureClient(OpenAIClient):
    """Sends requests to a resource, with its key in Azure's header."""

    def __init__(self, address: AzureAddress, options: ClientOptions) -> None:
        """Take where the resource is, and how it is reached."""
        self._by_deployment = address.by_deployment
        version = address.api_version
        super().__init__(
            structs.replace(options, base_url=address.base_url),
            default_query=None if version is None else {"api-version": version},
            key_header="api-key",
        )

    @classmethod
    def configured(cls, settings: ProviderSettings, options: ClientOptions) -> AzureClient:
        """Return the client of these settings."""
        address = azure_address(
            resource=settings.resource or os.environ.get(RESOURCE_VARIABLE, ""),
            base_url=settings.base_url,
            api_version=settings.api_version,
            by_deployment=settings.deployment_urls,
        )
        return cls(address, options)

    def _path(self, path: str, body: bytes) -> str:
        if not self._by_deployment:
            return path
        deployment = msgspec.json.decode(body, type=_Deployed).model
        return f"/deployments/{quote(deployment, safe='')}{path}"


class _Deployed(Struct):
    model: str


class AzureChatProvider(OpenAIChatProvider):
    """Implements `Provider` with Chat Completions at Azure."""

    def __init__(self, client: AzureClient) -> None:
        """Take the resource's client."""
        super().__init__(client=client, compatible=False)

    @classmethod
    def configured(
        cls, _name: str, settings: ProviderSettings, options: ClientOptions
    ) -> AzureChatProvider:
        """Return the provider of these settings. See `ProviderRow.make`."""
        return cls(AzureClient.configured(settings, options))

    @property
    def name(self) -> str:
        """See Provider."""
        return "azure-chat"


class AzureResponsesProvider(OpenAIResponsesProvider):
    """Implements `Provider`, and `DurableResponses`, with Responses at Azure."""

    def __init__(self, client: AzureClient) -> None:
        """Take the resource's client."""
        super().__init__(client=client, compatible=False)

    @classmethod
    def configured(
        cls, _name: str, settings: ProviderSettings, options: ClientOptions
    ) -> AzureResponsesProvider:
        """Return the provider of these settings. See `ProviderRow.make`."""
        return cls(AzureClient.configured(settings, options))

    @property
    def name(self) -> str:
        """See Provider."""
        return "azure"

    @asynccontextmanager
    async def open_step(self, request: StepRequest) -> AsyncIterator[StepStream]:
        """Start a step. See `Provider.open_step`."""
        theirs = structs.replace(request, messages=as_openai(request.messages))
        async with super().open_step(theirs) as step:
            yield _AzureStep(step)


class _AzureStep:
    """A step whose metadata is Azure's."""

    def __init__(self, step: StepStream) -> None:
        """Take the step as OpenAI's translator makes it."""
        self._step = step

    @property
    def result(self) -> StepResult:
        """See StepStream."""
        result = self._step.result
        calls = [
            structs.replace(call, metadata=_renamed(call.metadata)) for call in result.tool_calls
        ]
        return structs.replace(result, tool_calls=calls)

    async def __aiter__(self) -> AsyncIterator[list[AnyChunk]]:
        """Yield chunks, one list a network read, never empty."""
        async for chunks in self._step:
            yield [as_azure(chunk) for chunk in chunks]

    async def pump(self, take: Take, room: Room) -> None:
        """See StepStream."""
        await self._step.pump(lambda chunks: take([as_azure(chunk) for chunk in chunks]), room)


def as_azure(chunk: AnyChunk) -> AnyChunk:
    """Return a chunk of the translator's with metadata of Azure's."""
    citations = getattr(chunk, "citations", UNSET)
    if citations is not UNSET:
        # Their sources have metadata of their own. Within a text, these quotes would be escaped.
        inner = bytes(citations).replace(_INNER + _OPENAI, _INNER + _AZURE)
        chunk = structs.replace(chunk, citations=Raw(inner))
    metadata = getattr(chunk, "provider_metadata", UNSET)
    if metadata is UNSET or not bytes(metadata).startswith(_OPENAI):
        return chunk
    return structs.replace(chunk, provider_metadata=_renamed(metadata))


def _renamed(metadata: Raw | msgspec.UnsetType) -> Raw | msgspec.UnsetType:
    if metadata is UNSET or not bytes(metadata).startswith(_OPENAI):
        return metadata
    return Raw(_AZURE + bytes(metadata).removeprefix(_OPENAI))


def as_openai(messages: Sequence[UIMessage]) -> list[UIMessage]:
    """Return a history in which Azure's metadata is OpenAI's, and OpenAI's own is dropped."""
    return [_message(message) for message in messages]


def _message(message: UIMessage) -> UIMessage:
    if not any(b'"openai"' in bytes(raw) or b'"azure"' in bytes(raw) for raw in message.parts):
        return message
    fields = msgspec.json.decode(message.raw, type=dict[str, Raw])
    fields["parts"] = Raw(msgspec.json.encode(list(_parts(message.parts))))
    return UIMessage.parse(msgspec.json.encode(fields))


def _parts(parts: Iterable[Raw]) -> Iterable[Raw]:
    for raw in parts:
        try:
            fields = msgspec.json.decode(raw, type=dict[str, Raw])
        except UNREADABLE:
            yield raw
            continue
        for name in _METADATA:
            if name in fields:
                fields[name] = _theirs(fields[name])
        yield Raw(msgspec.json.encode(fields))


def _theirs(metadata: Raw) -> Raw:
    try:
        said = msgspec.json.decode(metadata, type=dict[str, Raw])
    except UNREADABLE:
        return metadata  # not readable, so it is no provider's
    said.pop("openai", None)
    if "azure" in said:
        said["openai"] = said.pop("azure")
    return Raw(msgspec.json.encode(said))
