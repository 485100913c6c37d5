"""A person's answer: written into a run that waits, whole or while they type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midstream.authors import Author, start_by
from midstream.errors import ConflictError, InvalidRequestError, StoreUnavailableError
from midstream.protocol.chunks import TextDeltaChunk, TextStartChunk
from midstream.protocol.codec import encode_lines
from midstream.protocol.salvage import salvaged
from midstream.protocol.vocabulary import level_of_chunks
from midstream.sessions.access import Role
from midstream.sessions.log.stored_run import stored_chunks
from midstream.sessions.runs.terminal import close_request, write_terminal
from midstream.store.calls import AppendBatch, AppendStatus
from midstream.store.records import ChunksRecord, RunOutcome

if TYPE_CHECKING:
    from midstream.protocol.assembler import Assembler
    from midstream.protocol.chunks import AnyChunk
    from midstream.protocol.writer import ChunkWriter
    from midstream.sessions.answerers.terms import Person
    from midstream.store.calls import TakenOver
    from midstream.store.contract import SessionStore

TEXT: Final = "person"
"""Id of the text part of a person's answer."""


class PersonsAnswer:
    """What a person has said in a run so far. One request writes it at a time: see `write`."""

    def __init__(
        self, taken: TakenOver, chunks: list[AnyChunk], person: Person, reconnect_window_s: float
    ) -> None:
        self._taken = taken
        self._person = person
        self._reconnect_window_s = reconnect_window_s
        self._writer: ChunkWriter
        self._assembler: Assembler
        self._writer, self._assembler, _ = salvaged(chunks, taken.run.message_id, None)
        self.said = "".join(
            chunk.delta
            for chunk in chunks
            if isinstance(chunk, TextDeltaChunk) and chunk.id == TEXT
        )

    @classmethod
    async def read(
        cls, store: SessionStore, taken: TakenOver, person: Person, reconnect_window_s: float
    ) -> PersonsAnswer:
        """Read what the log has of it."""
        return cls(taken, await stored_chunks(store, taken), person, reconnect_window_s)

    async def write(self, store: SessionStore, text: str, *, done: bool) -> bool:
        """Write what is new of the whole text so far.

        Returns:
            False if another request of the same person came first: read it again.

        Raises:
            ConflictError: what was said before cannot be changed.
            InvalidRequestError: the answer says nothing.
            StoreUnavailableError: unknown whether it is written; the same request again is safe.
        """
        if not text.startswith(self.said):
            raise ConflictError(
                "unable to change what was said already; send the whole text, with the words that "
                "were sent at its beginning",
                said=len(self.said),
            )
        if done and not text.strip():
            raise InvalidRequestError("unable to answer with nothing; write something")
        chunks = self._begun() if text else []
        if new := text[len(self.said) :]:
            chunks.append(TextDeltaChunk(id=TEXT, delta=new))
            self._writer.write(chunks[-1])
        if done:
            return await self.close(store, chunks)
        return not chunks or await self._append(store, chunks)

    def _begun(self) -> list[AnyChunk]:
        if self._taken.next:
            return []
        by = Author(self._person.id, Role.OPERATOR, "person", self._person.name)
        start = start_by(self._taken.run.message_id, by)
        chunks: list[AnyChunk] = [start, TextStartChunk(id=TEXT)]
        for chunk in chunks:
            self._writer.write(chunk)
        return chunks

    async def _append(self, store: SessionStore, chunks: list[AnyChunk]) -> bool:
        record = ChunksRecord(
            run_id=self._taken.run.id,
            first=self._taken.next,
            count=len(chunks),
            level=level_of_chunks(chunks),
            payload=encode_lines(chunks),
        )
        (answer,) = await store.append([AppendBatch(key=self._taken.key, chunks=record)])
        if answer.status is AppendStatus.UNKNOWN:
            raise StoreUnavailableError("unable to reach Redis; send the same text again")
        return answer.status is AppendStatus.APPENDED

    async def close(self, store: SessionStore, chunks: list[AnyChunk]) -> bool:
        """End the answer with what was said; `chunks` come before its end."""
        closing = [*chunks, *self._writer.finish("stop")]
        self._assembler.apply_all(closing)
        request = close_request(
            self._taken.key,
            self._taken.run,
            closing,
            first=self._taken.next,
            outcome=RunOutcome.FINISHED,
            message=self._assembler.message(),
            reconnect_window_s=self._reconnect_window_s,
        )
        return (await write_terminal(store, request)).status is AppendStatus.APPENDED
