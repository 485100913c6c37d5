"""An event loop in a thread, for callers without one, or with another one.

The thread starts with the first call, so a client that is opened at import and used after a
`fork` has no thread to lose. A child never touches what it inherits: the sockets, and the poller
that both processes share, belong to the parent.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from midstream.client.wire import END_LIMIT_S

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

INTERRUPT_LIMIT_S: Final = 2 * END_LIMIT_S
"""Time for a coroutine that its caller's interrupt has cancelled to end its run."""


class LoopThread:
    """Runs coroutines for other threads, until it is stopped.

    Attributes:
        inherited: it belongs to this process's parent, and does nothing here.
    """

    def __init__(self) -> None:
        self.inherited = False
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping: asyncio.Event | None = None
        self._closed = False
        self._last: Callable[[], Coroutine[Any, Any, None]] | None = None
        tell_at_fork(self)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the thread, and wait for it.

        An interrupt of the wait cancels the coroutine and waits for its end, with a limit.

        Raises:
            RuntimeError: the thread was stopped, or belongs to another process.
        """
        ended = threading.Event()
        tasks: list[asyncio.Task[T]] = []

        def begin() -> None:
            task = asyncio.get_running_loop().create_task(work)
            tasks.append(task)
            task.add_done_callback(lambda _: ended.set())

        def cancel() -> None:
            for task in tasks:
                task.cancel()

        try:
            self._schedule(begin)
        except RuntimeError:
            work.close()
            raise
        try:
            ended.wait()
        except BaseException:
            with suppress(RuntimeError):
                self._schedule(cancel)
                ended.wait(INTERRUPT_LIMIT_S)
            raise
        (task,) = tasks
        if task.cancelled():
            raise RuntimeError("unable to continue; the client was closed by another thread")
        return task.result()

    def after_fork(self) -> None:
        """Leave the thread to the parent."""
        self.inherited = True
        leave_to_parent(self)

    def stop(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Take no more calls, run `last`, cancel what still runs, and end the thread.

        Args:
            last: releases what the calls have opened. It is not run in a thread that has not
                started, or that belongs to another process.
        """
        with self._lock:
            if self._closed:
                return
            self._closed, self._last = True, last
            loop, stopping = self._loop, self._stopping
            if self.inherited or loop is None or stopping is None:
                return
            loop.call_soon_threadsafe(stopping.set)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _schedule(self, callback: Callable[[], None]) -> None:
        """Run a callback in the thread; one that is scheduled before the stop runs before it."""
        if self.inherited:
            raise RuntimeError(
                "unable to continue here; this run belongs to the process that opened it. Open "
                "another one after a fork"
            )
        with self._lock:
            if self._closed:
                raise RuntimeError("the client is not open; use it as `with MidstreamSync(...)`")
            if self._loop is None:
                self._begin()
            assert self._loop is not None  # noqa: S101 - it has begun
            self._loop.call_soon_threadsafe(callback)

    def _begin(self) -> None:
        begun = threading.Event()

        def serve() -> None:
            with asyncio.Runner() as runner:  # its end cancels running tasks
                runner.run(self._serve(begun))

        self._thread = threading.Thread(target=serve, name="midstream client", daemon=True)
        self._thread.start()
        begun.wait()

    async def _serve(self, begun: threading.Event) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        begun.set()
        await self._stopping.wait()
        if self._last is not None:
            await self._last()


class Inherited(Protocol):
    """An object that a child of this process must not use unchanged."""

    def after_fork(self) -> None:
        """React to the fork; called in the child before any other code."""
        ...


def tell_at_fork(thing: Inherited) -> None:
    """Call the object's `after_fork` at each `fork`, as long as the object lives."""
    _told.add(thing)


def leave_to_parent(thing: object) -> None:
    """Keep an object for good, in a child: freeing a loop closes its sockets and its poller."""
    _of_parents.append(thing)


_told: Final[weakref.WeakSet[Inherited]] = weakref.WeakSet()
_of_parents: Final[list[object]] = []


def _tell() -> None:
    for thing in list(_told):
        thing.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_tell)
