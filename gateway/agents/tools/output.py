"""Results of tools besides JSON: texts and files for the model."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw, Struct

from midstream.protocol.json_values import encode_json
from midstream.providers.conversation.outputs import NAMESPACE, OutputData, OutputPart

_NOTHING: Final = object()


class ToolFile(Struct, frozen=True, kw_only=True):
    """A file for a model: its content, its address, or its id at the provider.

        ToolFile(media_type="image/png", data=png)
        ToolFile(media_type="application/pdf", url="https://example.com/report.pdf")
        ToolFile(media_type="image/png", ids={"anthropic": "file_1", "openai": "file-1"})

    Raises:
        TypeError: it has none of them, or several.
    """

    media_type: str
    data: bytes | None = None
    url: str | None = None
    ids: Mapping[str, str] | None = None
    filename: str | None = None

    def __post_init__(self) -> None:
        """Check what was given."""
        given = [each for each in (self.data, self.url, self.ids) if each is not None]
        if len(given) != 1:
            raise TypeError("a ToolFile has one of `data`, `url` and `ids`")
        right = (self.data is None or isinstance(self.data, bytes)) and (
            self.url is None or isinstance(self.url, str)
        )
        if not right or not isinstance(self.media_type, str):
            raise TypeError("a ToolFile has a `media_type`, and bytes as `data` or text as `url`")

    def part(self) -> OutputPart:
        """Return it as the AI SDK writes it."""
        if self.data is not None:
            content = OutputData(type="data", data=base64.b64encode(self.data).decode())
        elif self.url is not None:
            content = OutputData(type="url", url=self.url)
        else:
            content = OutputData(type="reference", reference=self.ids)
        return OutputPart(
            type="file", media_type=self.media_type, filename=self.filename, data=content
        )


class ToolOutput:
    """A result in parts: what the model reads, and what people see if that is something else.

        return ToolOutput(["The map:", ToolFile(media_type="image/png", data=png)])
        return ToolOutput([ToolFile(…)], shown={"url": url})

    Clients see `shown` as the call's output, or else the parts, as the AI SDK writes a tool's
    content: `{"type": "content", "value": […]}`.

    Args:
        content: texts and files, in order.
        shown: anything that is JSON.

    Raises:
        TypeError: the content holds something else.
    """

    def __init__(self, content: Sequence[str | ToolFile], *, shown: object = _NOTHING) -> None:
        if isinstance(content, str):
            content = [content]
        for each in content:
            if not isinstance(each, str | ToolFile):
                raise TypeError(f"a ToolOutput has texts and ToolFiles, not {type(each).__name__}")
        self.content = tuple(content)
        self._shown = shown

    def output(self) -> object:
        """Return the call's output, for clients."""
        return self._content() if self._shown is _NOTHING else self._shown

    def mark(self) -> Raw:
        """Return its mark in the result's metadata, as JSON."""
        return encode_json({"modelOutput": True if self._shown is _NOTHING else self._content()})

    def marked(self, metadata: Raw | msgspec.UnsetType) -> Raw:
        """Return a call's metadata, with that mark."""
        fields: dict[str, Raw] = {}
        if metadata is not msgspec.UNSET:
            fields = msgspec.json.decode(metadata, type=dict[str, Raw])
        return Raw(msgspec.json.encode({**fields, NAMESPACE: self.mark()}))

    def _content(self) -> object:
        parts = [
            OutputPart(type="text", text=each) if isinstance(each, str) else each.part()
            for each in self.content
        ]
        return {"type": "content", "value": parts}
