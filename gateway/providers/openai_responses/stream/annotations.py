"""Annotations of a Responses text: what its end lists, and which of them become sources.

Source: @ai-sdk/openai 4.0.118, `responses/map-openai-responses-annotation.ts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import UNSET, UnsetType

from midstream.protocol.chunks import AnyChunk, Json, SourceDocumentChunk, SourceUrlChunk
from midstream.providers.openai.metadata import openai_metadata
from midstream.providers.openai_responses.stream.events import (
    Annotation,
    ContainerFileCitation,
    FileCitation,
    FilePath,
    FileSearchResult,
    UrlCitation,
    WebSource,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_decoder: Final = msgspec.json.Decoder(Annotation)


class Annotations:
    """The annotations of a step's texts, and its sources.

    A citation becomes a source only if no search listed its results: those came first, and
    whether there are any is known at the end of the stream.

    Args:
        send: whether the client wants sources at all.
    """

    def __init__(self, new_id: Callable[[], str], *, send: bool) -> None:
        """Begin a step."""
        self._new_id = new_id
        self._send = send
        self._of_text: list[Annotation] = []
        self._cited: list[UrlCitation | FileCitation] = []
        self._listed_pages = False
        self._listed_files: set[str] = set()

    def begin_text(self) -> None:
        """A text begins: what follows is about it."""
        self._of_text = []

    def add(self, raw: bytes | msgspec.Raw) -> list[AnyChunk]:
        """Take an annotation; return its source if that is certain already.

        Raises:
            msgspec.MsgspecError: not an annotation that we know.
        """
        annotation = _decoder.decode(raw)
        self._of_text.append(annotation)
        if isinstance(annotation, UrlCitation | FileCitation):
            self._cited.append(annotation)
            return []
        return self._source(annotation)

    def of_text(self) -> list[Annotation]:
        """Return the annotations of the text that ends, as the API spells them."""
        return self._of_text

    def citations(self) -> Json | UnsetType:
        """Return the text's annotations as the AI SDK's `citations`; UNSET without any."""
        citations = [_citation(a) for a in self._of_text if not isinstance(a, FilePath)]
        return msgspec.Raw(msgspec.json.encode(citations)) if citations else UNSET

    def list_pages(self, sources: Iterable[WebSource]) -> list[AnyChunk]:
        """A web search found these."""
        chunks: list[AnyChunk] = []
        for source in sources:
            if source.type == "url" and source.url is not UNSET:
                self._listed_pages = True
                if self._send:
                    chunks.append(SourceUrlChunk(source_id=self._new_id(), url=source.url))
        return chunks

    def list_files(self, results: Iterable[FileSearchResult]) -> list[AnyChunk]:
        """A file search found these; each file is a source once."""
        chunks: list[AnyChunk] = []
        for result in results:
            if result.file_id in self._listed_files:
                continue
            self._listed_files.add(result.file_id)
            if self._send:
                metadata = openai_metadata(type="file_search", fileId=result.file_id)
                chunks.append(
                    SourceDocumentChunk(
                        source_id=self._new_id(),
                        media_type="text/plain",
                        title=result.filename,
                        filename=result.filename,
                        provider_metadata=metadata,
                    )
                )
        return chunks

    def remaining_sources(self) -> list[AnyChunk]:
        """Return the sources that no search listed, at the end of the stream."""
        chunks: list[AnyChunk] = []
        for annotation in self._cited:
            is_page = isinstance(annotation, UrlCitation)
            if not (self._listed_pages if is_page else self._listed_files):
                chunks += self._source(annotation)
        return chunks

    def _source(self, annotation: Annotation) -> list[AnyChunk]:
        if not self._send:
            return []
        if isinstance(annotation, UrlCitation):
            return [
                SourceUrlChunk(source_id=self._new_id(), url=annotation.url, title=annotation.title)
            ]
        media_type, name, metadata = _document(annotation)
        return [
            SourceDocumentChunk(
                source_id=self._new_id(),
                media_type=media_type,
                title=name,
                filename=name,
                provider_metadata=openai_metadata(**metadata),
            )
        ]


def _document(
    annotation: FileCitation | ContainerFileCitation | FilePath,
) -> tuple[str, str, dict[str, str | int]]:
    """Return a document source's media type, its name, and its metadata."""
    if isinstance(annotation, FilePath):
        metadata: dict[str, str | int] = {
            "type": "file_path",
            "fileId": annotation.file_id,
            "index": annotation.index,
        }
        return "application/octet-stream", annotation.file_id, metadata
    if isinstance(annotation, FileCitation):
        metadata = {
            "type": "file_citation",
            "fileId": annotation.file_id,
            "index": annotation.index,
        }
    else:
        metadata = {
            "type": "container_file_citation",
            "fileId": annotation.file_id,
            "containerId": annotation.container_id,
        }
    return "text/plain", annotation.filename, metadata


def _citation(annotation: UrlCitation | FileCitation | ContainerFileCitation) -> dict[str, object]:
    if isinstance(annotation, UrlCitation):
        source: dict[str, object] = {
            "type": "source",
            "sourceType": "url",
            "id": annotation.url,
            "url": annotation.url,
        }
        if annotation.title is not UNSET:
            source["title"] = annotation.title
    else:
        media_type, name, metadata = _document(annotation)
        source = {
            "type": "source",
            "sourceType": "document",
            "id": annotation.file_id,
            "mediaType": media_type,
            "title": name,
            "filename": name,
            "providerMetadata": {"openai": metadata},
        }
    if isinstance(annotation, FileCitation):
        return {"source": source}
    return {
        "source": source,
        "startIndex": annotation.start_index,
        "endIndex": annotation.end_index,
    }
