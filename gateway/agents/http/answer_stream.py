"""A backend's UI message stream: its bytes in, the run's chunks out, each checked. Sans-IO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import UNSET

from midstream.agents.http.chunk_order import BackendOrder
from midstream.errors import AgentError
from midstream.protocol.chunks import (
    AbortChunk,
    ErrorChunk,
    FinishChunk,
    MessageMetadataChunk,
    StartChunk,
)
from midstream.protocol.codec import decode
from midstream.protocol.errors import RemoteProtocolError
from midstream.protocol.sse import DONE_DATA, SseDecoder
from midstream.protocol.surrogates import EventHalves, is_plain
from midstream.protocol.writer import ChunkWriter

if TYPE_CHECKING:
    from midstream.protocol.chunks import AnyChunk
    from midstream.protocol.messages import UIMessage
    from midstream.protocol.sse import Event

UNSAID: Final = "unable to answer; the agent's backend failed without giving a reason"


class BackendAnswer:
    """Parser of one answer.

    The backend writes a whole message. The run has a `start` of its own, and takes the metadata
    of the backend's; `finish` ends the run, `error` fails it, `abort` ends it as a stop does.
    Merged streams have several `start` and `finish`.

    Args:
        message_id: the message that the run writes.
        continued: for a run that continues a message, that message before the run.
        max_bytes: of the whole answer.

    Attributes:
        failure: set when reading must end; chunks returned before stand.
        ended: no more bytes are read.
        finished: the message has a `finish`; that of another merged stream may follow.
    """

    def __init__(self, message_id: str, continued: UIMessage | None, *, max_bytes: int) -> None:
        self.failure: AgentError | None = None
        self.ended = self.finished = False
        self._decoder = SseDecoder()
        self._halves = EventHalves()
        writer = ChunkWriter(message_id, continued)
        writer.write(StartChunk(message_id=message_id))
        self._order = BackendOrder(writer)
        self._max_bytes = max_bytes
        self._bytes = 0
        self._index = -1

    def receive_data(self, data: bytes) -> list[AnyChunk]:
        """Take the next bytes and return their chunks, in order; then check `failure`."""
        left = self._max_bytes - self._bytes
        self._bytes += len(data)
        try:
            events = self._decoder.receive_data(data[:left])
        except RemoteProtocolError as error:
            return self._fail(f"unable to read the answer of the agent's backend; {error}")
        chunks: list[AnyChunk] = []
        for event in events:
            if self.ended:
                break
            self._take(event, chunks)
        if len(data) > left and not self.ended:
            self._fail(
                "unable to continue this answer; the agent's backend sends more than "
                f"{self._max_bytes} bytes"
            )
        return chunks

    def receive_eof(self) -> list[AnyChunk]:
        """Take the end of the response; without a `finish` before it, `failure` is set."""
        chunks: list[AnyChunk] = []
        for each in self._halves.rest():
            self._decode(each, chunks)
        if not self.ended:
            chunks += self._order.flush()
        if self.failure is None and not (self.ended or self.finished):
            self._fail(
                "unable to finish this answer; the agent's backend ended it without `finish`"
                if self._index >= 0
                else "unable to answer; the agent's backend sent an empty answer"
            )
        self.ended = True
        return chunks

    def _take(self, event: Event, chunks: list[AnyChunk]) -> None:
        if event.data == DONE_DATA:
            chunks += self.receive_eof()
            return
        self._index += 1
        if self._halves.waiting or not is_plain(event.data):
            for each in self._halves.add(event.data):
                self._decode(each, chunks)
        else:
            self._decode(event.data, chunks)

    def _decode(self, data: bytes, chunks: list[AnyChunk]) -> None:
        try:
            chunks += self._admit(decode(data))
        except RemoteProtocolError as error:
            self._fail(
                "unable to continue this answer; the agent's backend sent an illegal chunk at "
                f"index {self._index}: {error}"
            )

    def _admit(self, chunk: AnyChunk) -> list[AnyChunk]:
        match chunk:
            case StartChunk():
                if chunk.message_metadata is UNSET:
                    return []
                return [MessageMetadataChunk(message_metadata=chunk.message_metadata)]
            case FinishChunk():
                self.finished = True
                return [chunk]
            case ErrorChunk():
                held = self._order.flush()
                self._fail(chunk.error_text or UNSAID)
                return held
            case AbortChunk():
                self.ended = True
                return [*self._order.flush(), chunk]
            case _:
                return self._order.take(chunk)

    def _fail(self, sentence: str) -> list[AnyChunk]:
        self.failure = AgentError(sentence)
        self.ended = True
        return []
