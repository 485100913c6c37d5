"""A Python function as a tool: its calls yield results value by value."""

from __future__ import annotations

import inspect
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from midstream.agents.tools.api import options_of
from midstream.agents.tools.schema import Signature
from midstream.providers.base import ToolOptions, ToolSpec

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from msgspec import Raw

    from midstream.agents.tools.api import ToolContext
    from midstream.agents.tools.threads import Threads

DEFAULT_LIMIT_S: Final = 60.0
_NO_OPTIONS: Final = ToolOptions()


class PythonTool:
    """A function as a tool.

    Plain functions run in a thread, coroutine functions on the event loop. An asynchronous
    generator's values are shown as they come, each in place of the one before; the last one
    is the result.

    Args:
        function: its parameters are the tool's input; see `Signature`.
        name: as models and clients name it; the function's own if empty.
        needs_approval: whether a person is asked before each call; or a function of (some
            of) the same parameters that decides.
        limit_s: how long a call may take.
        options: in the provider's API; they replace the function's own.

    Attributes:
        is_stream: whether it yields results.

    Raises:
        TypeError: the function cannot be a tool; the text says why.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str = "",
        needs_approval: bool | Callable[..., Any] = False,
        limit_s: float = DEFAULT_LIMIT_S,
        options: ToolOptions = _NO_OPTIONS,
    ) -> None:
        if inspect.isgeneratorfunction(_code_of(function)):
            raise TypeError("it must be an `async def` to yield")
        signature = Signature.of(function)
        self.name = name or name_of(function)
        self.limit_s = limit_s
        self.spec = ToolSpec(
            name=self.name,
            description=signature.description,
            input_schema=signature.schema,
            options=options.over(options_of(function)),
        )
        self.is_stream = inspect.isasyncgenfunction(_code_of(function))
        self._function = function
        self._context = signature.context
        self._names = signature.arguments.__struct_fields__
        self._decoder = msgspec.json.Decoder(signature.arguments)
        self._question = needs_approval
        self._asked_for = self._parameters_of_question()

    def check(self, given: Raw) -> str | None:
        """Return the problem with an input; None if it is valid."""
        try:
            self._decoder.decode(given)
        except (msgspec.ValidationError, RecursionError) as error:
            return str(error)
        return None

    async def asks(self, given: Raw, context: ToolContext, threads: Threads) -> bool:
        """Whether a person must approve this call. Raises what the function raises."""
        if isinstance(self._question, bool):
            return self._question
        wanted = self._asked_for
        values = {
            name: value
            for name, value in self._arguments(given).items()
            if name in wanted.arguments.__struct_fields__
        }
        if wanted.context is not None:
            values[wanted.context] = context
        return bool(await _called(self._question, values, threads))

    async def call(
        self, given: Raw, context: ToolContext, threads: Threads
    ) -> AsyncGenerator[object]:
        """Yield the function's values, or the one that it returns.

        Raises:
            msgspec.ValidationError: the input does not fit the function (any more).
            Exception: the function's own.
        """
        values = self._arguments(given)
        if self._context is not None:
            values[self._context] = context
        if self.is_stream:
            async with aclosing(self._function(**values)) as results:
                async for result in results:
                    yield result
        else:
            yield await _called(self._function, values, threads)

    def _arguments(self, given: Raw) -> dict[str, Any]:
        arguments = self._decoder.decode(given)
        return {name: getattr(arguments, name) for name in self._names}

    def _parameters_of_question(self) -> Signature:
        if isinstance(self._question, bool):
            return Signature.of(lambda: None)
        wanted = Signature.of(self._question)
        unknown = set(wanted.arguments.__struct_fields__) - set(self._names)
        if unknown:
            raise TypeError(f"the tool has no parameter `{min(unknown)}` to decide by")
        return wanted


def name_of(function: Callable[..., Any]) -> str:
    """Return a function's own name; of a callable object, its class's."""
    return getattr(function, "__name__", type(function).__name__)


def _code_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function to inspect: itself, or an object's `__call__`."""
    if inspect.isroutine(function) or isinstance(function, partial):
        return function
    return type(function).__call__


async def _called(function: Callable[..., Any], values: dict[str, Any], threads: Threads) -> object:
    if inspect.iscoroutinefunction(_code_of(function)):
        return await function(**values)
    result = await threads.run(partial(function, **values), f"tool {function!r:.60}")
    # A plain function that wraps a coroutine function.
    return await result if inspect.isawaitable(result) else result
