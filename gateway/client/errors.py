"""Exceptions that end the body of a run, and exceptions that leave it.

RunOver                 raised in the body, and caught by the block: nothing is left to write
  RunStopped            a person stopped the run
  FencedError           a later attempt with the same key has the run
  RunSkipped            the run had ended before
MidstreamError          leaves the block
  UnavailableError      no gateway answered within the limit
  NotAGatewayError      something else answers at the address
  RefusedError          a request was refused; `.code` is of docs/errors.md
  RunEndedError         a gateway ended the run, whose lease ran out
  ReplayMismatchError   a repeated attempt wrote something else than the first
RunError                raised by the body itself: its text is shown. So is that of a ToolError
                        (`midstream.answer`) in a tool's block
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class RunOver(Exception):
    """Nothing is left to write. Let it pass: the block around the body catches it."""


class RunStopped(RunOver):
    """A person stopped the run."""


class FencedError(RunOver):
    """A later attempt with the same key has claimed the run."""


class RunSkipped(RunOver):
    """The run had ended before this attempt."""


class MidstreamError(Exception):
    """A run could not be written; `message` tells why."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UnavailableError(MidstreamError):
    """No gateway answered within `outage_limit_s`. The last request may have been stored."""


class NotAGatewayError(MidstreamError):
    """Something else answers at the address: raised at once, without retries.

    A server that only hangs up is tried a few times (see `hangups`). An address at which a gateway
    has answered before is retried: a load balancer answers there meanwhile.
    """


class RefusedError(MidstreamError):
    """A gateway refused a request.

    Attributes:
        status: of HTTP.
        code: of docs/errors.md.
        details: more facts, by name.
    """

    def __init__(
        self, message: str, *, status: int, code: str, details: Mapping[str, object]
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.details = details


class RunEndedError(MidstreamError):
    """The run was ended while it was written: this process was silent for a lease.

    Attributes:
        outcome: `interrupted`, as a rule.
    """

    def __init__(self, outcome: str) -> None:
        super().__init__("unable to write this run; it was ended from outside. Begin another one")
        self.outcome = outcome


class ReplayMismatchError(MidstreamError):
    """A repeated attempt did not repeat the stored chunks."""

    def __init__(self, sequence: int) -> None:
        super().__init__(
            f"unable to repeat this run; its chunk {sequence} is not the one that an earlier "
            'attempt has sent. Use on_retry="continue" for answers that are not always the same'
        )
        self.sequence = sequence


class RunError(Exception):
    """Raised in a body: the run fails with this text, which people read."""
