"""Citations of Anthropic's texts: what a text's end lists, and which become sources.

Source: @ai-sdk/anthropic 4.0.105, `map-anthropic-citation.ts` and `createCitationSource`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, Struct, UnsetType

from midstream.protocol.chunks import (
    AnyChunk,
    Json,
    SourceDocumentChunk,
    SourceUrlChunk,
    TextEndChunk,
)
from midstream.providers.anthropic.stream.events import (
    CharCitation,
    Citation,
    DocumentCitation,
    PageCitation,
    SearchCitation,
    WebCitation,
)
from midstream.providers.anthropic.stream.metadata import anthropic_metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from midstream.providers.anthropic.stream.blocks import WebFetchResult, WebSearchResult


class CitedDocument(Struct, frozen=True):
    """A document that citations may point at, by its index."""

    title: str
    media_type: str
    filename: str | None = None


class Citations:
    """The documents and sources of one step.

    A web citation becomes a source only if no search listed its pages; that is known at
    the end of the message.

    Args:
        documents: those of the request with citations enabled, in its order.
        send: whether the client wants sources at all.
    """

    def __init__(
        self, documents: Iterable[CitedDocument], new_id: Callable[[], str], *, send: bool
    ) -> None:
        """Begin a step."""
        self._documents = list(documents)
        self._new_id = new_id
        self._send = send
        self._listed_pages = False
        self._cited_pages: list[WebCitation] = []

    def add(self, citation: Citation) -> list[AnyChunk]:
        """Take a citation; return its source if that is certain already."""
        if isinstance(citation, WebCitation):
            self._cited_pages.append(citation)
            return []
        if isinstance(citation, PageCitation | CharCitation):
            return self._document_source(citation)
        return []

    def list_pages(self, pages: Sequence[WebSearchResult]) -> list[AnyChunk]:
        """Take what a web search found; return its sources."""
        self._listed_pages = self._listed_pages or bool(pages)
        if not self._send:
            return []
        return [
            SourceUrlChunk(
                source_id=self._new_id(),
                url=page.url,
                title=UNSET if page.title is None else page.title,
                provider_metadata=anthropic_metadata(pageAge=page.page_age),
            )
            for page in pages
        ]

    def add_document(self, fetched: WebFetchResult) -> None:
        """Take a document that was fetched: later citations count it."""
        title = fetched.content.title
        self._documents.append(
            CitedDocument(
                title=fetched.url if title is None else title,
                media_type=fetched.content.source.media_type,
            )
        )

    def remaining_sources(self) -> list[AnyChunk]:
        """Return the sources that no search listed, at the end of a message."""
        cited, self._cited_pages = self._cited_pages, []
        if self._listed_pages or not self._send:
            return []
        return [
            SourceUrlChunk(
                source_id=self._new_id(),
                url=citation.url,
                title=UNSET if citation.title is None else citation.title,
                provider_metadata=anthropic_metadata(
                    citedText=citation.cited_text, encryptedIndex=citation.encrypted_index
                ),
            )
            for citation in cited
        ]

    def text_end(self, text_id: str, citations: list[Citation]) -> TextEndChunk:
        """Return the end of a text, with what it cites."""
        if not citations:
            return TextEndChunk(id=text_id)
        return TextEndChunk(
            id=text_id,
            citations=_json([self._citation(citation) for citation in citations]),
            provider_metadata=anthropic_metadata(citations=citations),
        )

    def _document_source(self, citation: PageCitation | CharCitation) -> list[AnyChunk]:
        document = self._document(citation.document_index)
        if document is None or not self._send:
            return []
        if isinstance(citation, PageCitation):
            place = {
                "startPageNumber": citation.start_page_number,
                "endPageNumber": citation.end_page_number,
            }
        else:
            place = {
                "startCharIndex": citation.start_char_index,
                "endCharIndex": citation.end_char_index,
            }
        title = citation.document_title
        return [
            SourceDocumentChunk(
                source_id=self._new_id(),
                media_type=document.media_type,
                title=document.title if title is None else title,
                filename=_or_unset(document.filename),
                provider_metadata=anthropic_metadata(citedText=citation.cited_text, **place),
            )
        ]

    def _document(self, index: int) -> CitedDocument | None:
        return self._documents[index] if 0 <= index < len(self._documents) else None

    def _citation(self, citation: Citation) -> dict[str, object]:
        if isinstance(citation, WebCitation | SearchCitation):
            source = _page(citation)
        else:
            source = self._cited_document(citation)
        source["providerMetadata"] = {"anthropic": citation}
        return {"source": source, "citedText": citation.cited_text}

    def _cited_document(self, citation: DocumentCitation) -> dict[str, object]:
        index = citation.document_index
        document = self._document(index) or CitedDocument(f"Document {index}", "text/plain")
        title, file_id = citation.document_title, citation.file_id
        source: dict[str, object] = {
            "type": "source",
            "sourceType": "document",
            "id": file_id if isinstance(file_id, str) else str(index),
            "mediaType": document.media_type,
            "title": document.title if title is None else title,
        }
        if document.filename is not None:
            source["filename"] = document.filename
        return source


def _page(citation: WebCitation | SearchCitation) -> dict[str, object]:
    url = citation.url if isinstance(citation, WebCitation) else citation.source
    source: dict[str, object] = {"type": "source", "sourceType": "url", "id": url, "url": url}
    if citation.title is not None:
        source["title"] = citation.title
    return source


def _or_unset(value: str | None) -> str | UnsetType:
    return UNSET if value is None else value


def _json(value: object) -> Json:
    return msgspec.Raw(msgspec.json.encode(value))
