"""Exceptions that end the body of a run, and those that propagate from its block.

RunOver                 raised in the body, and swallowed by the block: the run takes no more
  RunStopped            a person stopped the run
  FencedError           a later attempt with the same key has taken the run over
  RunSkipped            the run had ended before
MidstreamError          propagates from the block
  UnavailableError      no gateway answered for too long
  NotAGatewayError      something else answers at the address
  RefusedError          a request was refused; docs/errors.md lists its `.code`
  RunEndedError         a gateway closed the run because its lease ended
  ReplayMismatchError   a repeated attempt differs from the first
RunError                raised by the body itself: its text is shown, like that of a ToolError
                        (`midstream.answer`) in a tool's block
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class RunOver(Exception):
    """The run takes no more chunks. Do not catch this: the block around the body does."""


class RunStopped(RunOver):
    """A person stopped the run."""


class FencedError(RunOver):
    """A later attempt with the same key has taken the run over."""


class RunSkipped(RunOver):
    """The run had ended before this attempt."""


class MidstreamError(Exception):
    """A run could not be written; `message` gives the reason."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UnavailableError(MidstreamError):
    """No gateway answered within `outage_limit_s`. The last request may have been applied."""


class NotAGatewayError(MidstreamError):
    """Something else answers at the address: raised at once, without a retry.

    An address that only hangs up is tried a few times first (see `hangups`). An address at
    which a gateway has answered before is retried: a load balancer may answer there meanwhile.
    """


class RefusedError(MidstreamError):
    """A gateway refused a request.

    Attributes:
        status: the HTTP status.
        code: the error code; see docs/errors.md.
        details: the error's further fields, by name.
    """

    def __init__(
        self, message: str, *, status: int, code: str, details: Mapping[str, object]
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.details = details


class RunEndedError(MidstreamError):
    """A gateway closed the run while it was written: this process was silent for a lease.

    Attributes:
        outcome: mostly `interrupted`.
    """

    def __init__(self, outcome: str) -> None:
        super().__init__("unable to write this run; it was ended from outside. Begin another one")
        self.outcome = outcome


class ReplayMismatchError(MidstreamError):
    """A repeated attempt differs from the stored chunks."""

    def __init__(self, sequence: int) -> None:
        super().__init__(
            f"unable to repeat this run; its chunk {sequence} is not the one that an earlier "
            'attempt has sent. Use on_retry="continue" for answers that are not always the same'
        )
        self.sequence = sequence


class RunError(Exception):
    """Fails the run with this text, which people read; raise it in the body."""
