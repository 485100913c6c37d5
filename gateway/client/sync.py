"""The client without an event loop: the same runs, driven by a thread of the client's own."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Self, TypeVar

from msgspec import UNSET

from gateway.client.client import Midstream
from gateway.client.errors import RunOver

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence
    from types import TracebackType

    from gateway.answer import ToolCall
    from gateway.client.run import Run
    from protocol.chunks import AnyChunk, FinishReason

T = TypeVar("T")


class _Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="midstream client", daemon=True
        )
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and wait for it; an interrupt of the wait cancels it."""
        if self._loop is None:
            work.close()
            raise RuntimeError("the client is not open; use it as `with MidstreamSync(...)`")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        if self._loop is None or self._thread is None:
            return
        self.call(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
        self._loop = self._thread = None


async def _cancel_others() -> None:
    """End what runs that were never left have begun."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class MidstreamSync:
    """`Midstream` for code without an event loop; any thread may use it.

    A person's stop cannot interrupt the body of a run: it ends at the next thing that the body
    says, and `run.is_stopped` tells between.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        *,
        key: str | None = None,
        outage_limit_s: float = 60.0,
        flush_interval_s: float = 0.05,
    ) -> None:
        self._client = Midstream(
            url, key=key, outage_limit_s=outage_limit_s, flush_interval_s=flush_interval_s
        )
        self._loop = _Loop()

    def __enter__(self) -> Self:
        self._loop.start()
        self._loop.call(self._client.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._loop.call(self._client.__aexit__(kind, error, traceback))
        finally:
            self._loop.stop()

    def run(self, session_id: str, *, key: str, **options: Any) -> SyncRun:
        """Return a run to write, in a `with` block; the arguments are those of `Midstream.run`."""

        async def make() -> Run:
            return self._client.run(session_id, key=key, **options)

        return SyncRun(self._loop, self._loop.call(make()))


class SyncRun:
    """`Run`, whose methods block for as long as those would wait."""

    def __init__(self, loop: _Loop, run: Run) -> None:
        self._loop = loop
        self._run = run

    def __enter__(self) -> Self:
        self._loop.call(self._run.open())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        return self._loop.call(self._run.close(error))

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
        """The id of the message that it writes."""
        return self._run.message_id

    @property
    def message(self) -> dict[str, Any]:
        """The message that it writes, so far."""
        return self._run.message

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The conversation that it answers."""
        return self._run.messages

    @property
    def outcome(self) -> str | None:
        """How it has ended, once it has."""
        return self._run.outcome

    @property
    def is_stopped(self) -> bool:
        """Whether there is nothing left to write."""
        return self._run.is_stopped

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the answer ends; see `Run`."""
        return self._run.finish_reason

    @finish_reason.setter
    def finish_reason(self, reason: FinishReason | None) -> None:
        self._run.finish_reason = reason

    def text(self, delta: str) -> None:
        """Say more of the answer."""
        self._loop.call(self._run.text(delta))

    def reasoning(self, delta: str, *, provider_metadata: object = UNSET) -> None:
        """Think aloud."""
        self._loop.call(self._run.reasoning(delta, provider_metadata=provider_metadata))

    def tool(self, name: str, tool_input: object = UNSET, **options: Any) -> SyncToolCall:
        """Call a tool, and show its result; see `Run.tool`."""
        return SyncToolCall(self._loop, self._run.tool(name, tool_input, **options))

    def source(self, url: str, title: str | None = None, *, source_id: str | None = None) -> None:
        """Name a web page that the answer uses."""
        self._loop.call(self._run.source(url, title, source_id=source_id))

    def document(self, title: str, media_type: str, **options: Any) -> None:
        """Name a document that the answer uses; see `Run.document`."""
        self._loop.call(self._run.document(title, media_type, **options))

    def file(self, url: str, media_type: str) -> None:
        """Show a file."""
        self._loop.call(self._run.file(url, media_type))

    def data(self, name: str, value: object, **options: Any) -> None:
        """Send a `data-NAME` part; see `Run.data`."""
        self._loop.call(self._run.data(name, value, **options))

    def status(self, text: str) -> None:
        """Say what goes on, for who is there now."""
        self._loop.call(self._run.status(text))

    def metadata(self, metadata: Mapping[str, object]) -> None:
        """Merge into the message's metadata."""
        self._loop.call(self._run.metadata(metadata))

    def step(self) -> None:
        """Begin the next step."""
        self._loop.call(self._run.step())

    def chunk(self, chunk: AnyChunk | Mapping[str, object] | bytes | str) -> None:
        """Send any chunk; see `Run.chunk`."""
        self._loop.call(self._run.chunk(chunk))

    def flush(self) -> None:
        """Wait until all that was said is stored."""
        self._loop.call(self._run.flush())


class SyncToolCall:
    """`ToolCall`, whose methods block."""

    def __init__(self, loop: _Loop, call: ToolCall) -> None:
        self.id = call.id
        self._loop = loop
        self._call = call

    def __enter__(self) -> Self:
        self._loop.call(self._call.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not isinstance(error, RunOver):
            self._loop.call(self._call.__aexit__(kind, error, traceback))

    def input(self, delta: str) -> None:
        """Stream more of its input."""
        self._loop.call(self._call.input(delta))

    def output(self, output: object, *, preliminary: bool = False) -> None:
        """Give its result."""
        self._loop.call(self._call.output(output, preliminary=preliminary))

    def fail(self, error_text: str) -> None:
        """Say that it failed."""
        self._loop.call(self._call.fail(error_text))
