"""Contract of a simulated API."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from midstream.simulator.directives import AnswerScript
    from midstream.simulator.failures import RequestError
    from midstream.simulator.holds import AnswerHolds
    from midstream.simulator.player import Clock, Emit, Ending
    from midstream.simulator.turn import ModelRequest, PlannedAnswer
    from midstream.simulator.wire import Asked, FramedEvent


class FollowedAnswer(Protocol):
    """An answer in the background, which any number of connections may follow."""

    def body(self) -> bytes:
        """Return its object as it is now."""
        ...

    async def follow(self, after: int, emit: Emit) -> Ending:
        """Send its events after one of them; see `Player.play` for what is returned."""
        ...

    def cancel(self) -> None:
        """End it."""
        ...

    async def wait(self) -> None:
        """Wait for its end."""
        ...


class SimulatedApi(ABC):
    """An API: its paths, and the shapes of its requests, answers and errors. Does no I/O.

    Attributes:
        name: in the journal: the kind of provider, as in settings.
        base_path: where its SDK's base URL ends.
        path: of its calls, below that.
        request_id_header: the header of an answer that names its request.
    """

    name: ClassVar[str]
    base_path: ClassVar[str]
    path: ClassVar[str]
    request_id_header: ClassVar[str] = "x-request-id"

    @abstractmethod
    def read_request(self, body: bytes, headers: Mapping[str, str]) -> ModelRequest:
        """Check and understand a request.

        Raises:
            RequestError: as the provider would refuse it.
        """

    @abstractmethod
    def stream(self, turn: PlannedAnswer, exchange: Asked) -> Iterator[FramedEvent]:
        """Yield the whole answer's events, terminal included."""

    @abstractmethod
    def body(self, turn: PlannedAnswer, exchange: Asked) -> bytes:
        """Return the answer to a request that does not stream."""

    @abstractmethod
    def error_event(self, error: RequestError, sequence: int) -> bytes:
        """Return the event of an error after `sequence` events, framed."""

    @abstractmethod
    def error_body(self, error: RequestError, request_id: str) -> bytes:
        """Return the body of an error status."""

    def look_up(self, method: str, path: str, body: bytes) -> bytes | None:
        """Answer another request below the base path; None: it has none.

        Raises:
            RequestError: there is nothing of that name.
        """
        return None

    def begin_background(
        self,
        script: AnswerScript,
        turn: PlannedAnswer,
        exchange: Asked,
        clock: Clock,
        holds: AnswerHolds,
    ) -> FollowedAnswer:
        """Begin to generate an answer whose request asks for that in the background."""
        raise NotImplementedError

    def find_background(self, method: str, path: str) -> FollowedAnswer | None:
        """Return the answer in the background that a request is about, if it is about one."""
        return None

    async def close(self) -> None:  # noqa: B027 - most generate nothing in the background
        """End what is generated in the background."""
