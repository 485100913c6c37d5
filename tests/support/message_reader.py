"""The AI SDK's own reading of chunks, in Node: one process, one question at a time."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from protocol import AnyChunk, UIMessage, encode
from tests.support.node import FOLDER, node_binary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class MessageReader:
    """Asks `messages.mjs` what a client of the AI SDK makes of chunks."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

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
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(job) + "\n")  # ASCII: to Node, U+2028 ends a line too
        stdin.flush()
        answer = json.loads(stdout.readline())
        assert "failure" not in answer, answer
        return answer["message"], answer["errors"]


@contextmanager
def message_reader() -> Iterator[MessageReader]:
    """Run `messages.mjs` until the block is left."""
    with subprocess.Popen(  # noqa: S603 - our own script
        [node_binary(), "messages.mjs"],
        cwd=FOLDER,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        yield MessageReader(process)
        assert process.stdin is not None
        process.stdin.close()
