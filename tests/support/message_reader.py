"""The AI SDK's own reading of chunks, in Node."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from midstream.protocol import AnyChunk, UIMessage, encode
from tests.support.node_program import NodeProgram, node_program

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class MessageReader:
    """Asks `messages.mjs` for the message that a client of the AI SDK assembles from chunks."""

    def __init__(self, program: NodeProgram) -> None:
        self._program = program

    def read(
        self, version: str, chunks: Iterable[AnyChunk], base: UIMessage | None = None
    ) -> tuple[dict[str, Any], list[str]]:
        """Return the message that a client ends with, and the errors that it met.

        Args:
            version: `ai5`, `ai6` or `ai7`.
            chunks: in order.
            base: the assistant message that the client has already.
        """
        job: dict[str, Any] = {
            "ai": version,
            "chunks": [json.loads(encode(chunk)) for chunk in chunks],
        }
        if base is not None:
            job["message"] = json.loads(bytes(base.raw))
        answer = self._program.ask(job)
        assert "failure" not in answer, answer
        return answer["message"], answer["errors"]


@contextmanager
def message_reader() -> Iterator[MessageReader]:
    """Run `messages.mjs` until the block is left."""
    with node_program("messages.mjs") as program:
        yield MessageReader(program)
