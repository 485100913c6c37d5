"""The client without `await`: the same runs, driven by a thread of the client's own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Self

from msgspec import UNSET

from midstream.client.client import Midstream
from midstream.client.errors import RunOver
from midstream.client.loop_thread import LoopThread, leave_to_parent, tell_at_fork
from midstream.client.reading.sync import SyncSession

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from midstream.answer import ToolCall
    from midstream.client.attempt import OnRetry
    from midstream.client.reading.session import Token
    from midstream.client.run import OnError, OnExit, Run
    from midstream.protocol.chunks import AnyChunk, FinishReason
    from midstream.protocol.messages import UIMessage
    from midstream.protocol.requests import OnActive


class MidstreamSync:
    """`Midstream` for code that cannot `await`; any thread may use it.

    In a thread with a running event loop (a notebook, an async view) its methods block that
    loop while they wait. A client that was opened before a `fork` is open in the child; a run
    belongs to the process that opened it.

    A person's stop cannot interrupt the body of a run. The body ends at its next method call;
    ask `run.is_stopped` between calls.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        *,
        key: str | None = None,
        outage_limit_s: float = 60.0,
        flush_interval_s: float = 0.05,
    ) -> None:
        def make() -> Midstream:
            return Midstream(
                url, key=key, outage_limit_s=outage_limit_s, flush_interval_s=flush_interval_s
            )

        self._make = make
        self._client = make()
        self._thread: LoopThread | None = None
        self._lock = threading.Lock()
        tell_at_fork(self)

    def after_fork(self) -> None:
        """Start afresh in a child; thread and connections belong to the parent."""
        self._lock = threading.Lock()
        leave_to_parent(self._client)
        self._client = self._make()
        if self._thread is not None:
            self._thread = LoopThread()

    def open(self) -> Self:
        """Open the client without a block. Call `close` at the end.

        The first run makes the connections.
        """
        with self._lock:
            if self._thread is None:
                self._thread, self._client = LoopThread(), self._make()
        return self

    def close(self) -> None:
        """Close the connections. Runs whose block is still open end with their lease."""
        with self._lock:
            thread, client = self._thread, self._client
            self._thread = None
        if thread is not None:
            thread.stop(client.close)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def run(
        self,
        session_id: str,
        *,
        key: str,
        text: str | None = None,
        message: Mapping[str, Any] | None = None,
        user: str | None = None,
        agent: str | None = None,
        on_retry: OnRetry = "replay",
        on_error: OnError = "fail",
        on_exit: OnExit = "end",
        on_active: OnActive = "refuse",
        attempt: int | None = None,
        steering: bool = False,
        lease_s: float | None = None,
        side: bool | str = False,
    ) -> SyncRun:
        """Return a run to write, for a `with` block; for the arguments see `Midstream.run`."""
        with self._lock:
            thread, client = self._thread, self._client
        if thread is None:
            raise RuntimeError("the client is not open; use it as `with MidstreamSync(...)`")
        run = client.run(
            session_id,
            key=key,
            text=text,
            message=message,
            user=user,
            agent=agent,
            on_retry=on_retry,
            on_error=on_error,
            on_exit=on_exit,
            on_active=on_active,
            attempt=attempt,
            steering=steering,
            lease_s=lease_s,
            side=side,
        )
        return SyncRun(thread, client, run)

    def session(self, session_id: str, *, token: Token | None = None) -> SyncSession:
        """Return a session to read; see `Midstream.session`."""
        with self._lock:
            thread, client = self._thread, self._client
        if thread is None:
            raise RuntimeError("the client is not open; use it as `with MidstreamSync(...)`")
        return SyncSession(thread, client.open, client.session(session_id, token=token))


class SyncRun:
    """`Run` without `await`: its methods block while those of `Run` wait."""

    def __init__(self, thread: LoopThread, client: Midstream, run: Run) -> None:
        """Use `MidstreamSync.run` instead."""
        self._thread = thread
        self._client = client
        self._run = run

    def __enter__(self) -> Self:
        try:
            self._thread.call(self._open())
        except BaseException as error:
            if self._run.is_open:  # interrupted with the run open already
                self._thread.call(self._run.close(error))
            raise
        return self

    async def _open(self) -> None:
        await self._client.open()
        await self._run.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if self._thread.inherited:
            return False  # a child leaves the block: the run continues in its parent
        return self._thread.call(self._run.close(error))

    @property
    def id(self) -> str:
        """The run's id."""
        return self._run.id

    @property
    def session_id(self) -> str:
        """The session's id."""
        return self._run.session_id

    @property
    def message_id(self) -> str:
        """The id of the message that the run writes."""
        return self._run.message_id

    @property
    def message(self) -> dict[str, Any]:
        """The message that the run writes, so far: a UIMessage."""
        return self._run.message

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The conversation that the run answers, oldest first: UIMessages."""
        return self._run.messages

    @property
    def outcome(self) -> str | None:
        """The run's outcome, once it has ended; see `Run`."""
        return self._run.outcome

    @property
    def is_stopped(self) -> bool:
        """Whether the run takes no more chunks."""
        return self._run.is_stopped

    @property
    def finish_reason(self) -> FinishReason | None:
        """The answer's finish reason; see `Run`."""
        return self._run.finish_reason

    @finish_reason.setter
    def finish_reason(self, reason: FinishReason | None) -> None:
        self._run.finish_reason = reason

    def text(self, delta: str) -> None:
        """Append to the answer's text."""
        self._thread.call(self._run.text(delta))

    def reasoning(self, delta: str, *, provider_metadata: object = UNSET) -> None:
        """Append to the reasoning."""
        self._thread.call(self._run.reasoning(delta, provider_metadata=provider_metadata))

    def tool(
        self,
        name: str,
        tool_input: object = UNSET,
        *,
        call_id: str | None = None,
        title: str | None = None,
        dynamic: bool = False,
    ) -> SyncToolCall:
        """Write a tool call and its result; see `Run.tool`."""
        call = self._run.tool(name, tool_input, call_id=call_id, title=title, dynamic=dynamic)
        return SyncToolCall(self._thread, call)

    def source(self, url: str, title: str | None = None, *, source_id: str | None = None) -> None:
        """Write a web page that the answer uses."""
        self._thread.call(self._run.source(url, title, source_id=source_id))

    def document(
        self,
        title: str,
        media_type: str,
        *,
        filename: str | None = None,
        source_id: str | None = None,
    ) -> None:
        """Write a document that the answer uses."""
        self._thread.call(
            self._run.document(title, media_type, filename=filename, source_id=source_id)
        )

    def file(self, url: str, media_type: str) -> None:
        """Write a file."""
        self._thread.call(self._run.file(url, media_type))

    def data(
        self, name: str, value: object, *, part_id: str | None = None, transient: bool = False
    ) -> None:
        """Write a `data-NAME` part; see `Run.data`."""
        self._thread.call(self._run.data(name, value, part_id=part_id, transient=transient))

    def status(self, text: str) -> None:
        """Write a progress note for present readers."""
        self._thread.call(self._run.status(text))

    def metadata(self, metadata: Mapping[str, object]) -> None:
        """Merge into the message's metadata."""
        self._thread.call(self._run.metadata(metadata))

    def step(self) -> None:
        """Begin the next step."""
        self._thread.call(self._run.step())

    def chunk(self, chunk: AnyChunk | Mapping[str, object] | bytes | str) -> None:
        """Write any chunk; see `Run.chunk`."""
        self._thread.call(self._run.chunk(chunk))

    def flush(self) -> None:
        """Wait until everything written so far is stored."""
        self._thread.call(self._run.flush())

    def take_steering(self) -> Sequence[UIMessage]:
        """Take what people have said to this answer; see `Run.take_steering`."""
        return self._thread.call(self._run.take_steering())

    @property
    def steering(self) -> Iterator[UIMessage]:
        """What people say to this answer, as it comes, until the run ends."""
        messages = self._run.steering

        async def following() -> UIMessage | None:
            return await anext(messages, None)

        while (message := self._thread.call(following())) is not None:
            yield message

    def end_as_stopped(self) -> None:
        """Let the block's end be that of a stopped run; see `Run.end_as_stopped`."""
        self._run.end_as_stopped()

    @property
    def ends_as_stopped(self) -> bool:
        """Whether the block's end will be that of a stopped run."""
        return self._run.ends_as_stopped

    def end_as_failed(self) -> None:
        """Let an exception end the run with an error; see `Run.end_as_failed`."""
        self._run.end_as_failed()

    def suspend(self, lease_s: float | None = None) -> None:
        """Let the block's end leave the run open; see `Run.suspend`."""
        self._run.suspend(lease_s)


class SyncToolCall:
    """`ToolCall` without `await`: its methods block."""

    def __init__(self, thread: LoopThread, call: ToolCall) -> None:
        self.id = call.id
        self._thread = thread
        self._call = call

    def __enter__(self) -> Self:
        self._thread.call(self._call.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not isinstance(error, RunOver):
            self._thread.call(self._call.__aexit__(kind, error, traceback))

    def input(self, delta: str) -> None:
        """Append to the call's input."""
        self._thread.call(self._call.input(delta))

    def output(self, output: object, *, preliminary: bool = False) -> None:
        """Write the call's result."""
        self._thread.call(self._call.output(output, preliminary=preliminary))

    def fail(self, error_text: str) -> None:
        """Write that the call failed."""
        self._thread.call(self._call.fail(error_text))
