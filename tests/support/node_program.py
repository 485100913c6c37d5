"""Node programs that answer each line of JSON with another; started once, asked often."""

from __future__ import annotations

import contextlib
import json
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.support.node import FOLDER, node_binary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class NodeProgram:
    """One program in `tests/conformance/node`, started by its first question.

    It shares the tests' stderr, so that pytest shows its errors beside a failure.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._process: subprocess.Popen[str] | None = None

    def ask(self, question: object) -> Any:
        """Return the answer to one question.

        Raises:
            AssertionError: the program has ended instead.
        """
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(question) + "\n")  # ASCII: to Node, U+2028 ends a line
            process.stdin.flush()
            answer = process.stdout.readline()
            assert answer, f"{self._name} has ended"
        except BaseException:
            # An unread answer would be taken for the next question's.
            self.end()
            raise
        return json.loads(answer)

    def ask_all(self, questions: Iterable[object]) -> list[Any]:
        """Return the answers to questions, in order."""
        return [self.ask(question) for question in questions]

    def end(self) -> None:
        """End it; the next question starts another."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        with contextlib.suppress(BrokenPipeError), process:
            pass

    def _start(self) -> subprocess.Popen[str]:
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [node_binary(), self._name],
            cwd=FOLDER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        return self._process


@contextmanager
def node_program(name: str) -> Iterator[NodeProgram]:
    """Yield a program, and end it with the block."""
    program = NodeProgram(name)
    try:
        yield program
    finally:
        program.end()
