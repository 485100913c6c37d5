"""Exceptions that end the body of a run, and those that propagate from its block.

RunOver                 raised in the body, and swallowed by the block: the run takes no more
  RunStopped            a person stopped the run
  RunSkipped            another attempt has finished the run
MidstreamError          propagates from the block
  UnavailableError      no gateway answered for too long
  NotAGatewayError      something else answers at the address
  RefusedError          a request was refused; docs/errors.md lists its `.code`
    KeyReusedError      the key belongs to another question
  FencedError           a later attempt with the same key has taken the run over
  RunEndedError         the run has ended without success: failed, or interrupted
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


class RunSkipped(RunOver):
    """Another attempt has finished the run, or a person has stopped it before this one."""


class MidstreamError(Exception):
    """A run could not be written; `message` gives the reason.

    `args` are those of the constructor, so that an error outlives its process: `pickle` and the
    result backends of job queues make it anew of them.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


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

    def __init__(self, message: str, status: int, code: str, details: Mapping[str, object]) -> None:
        super().__init__(message)
        self.args = (message, status, code, details)
        self.status = status
        self.code = code
        self.details = details


class KeyReusedError(RefusedError):
    """The key belongs to another question, or to another agent's run; code `key_reused`."""


class FencedError(MidstreamError):
    """A later attempt with the same key has taken the run over. Its answer is the job's answer."""

    def __init__(self) -> None:
        super().__init__("unable to write this run; a later attempt has claimed it")
        self.args = ()


class RunEndedError(MidstreamError):
    """The run has ended without success, by another attempt or by a gateway.

    Attributes:
        outcome: `interrupted`: its writer was silent for a lease, and a gateway closed it.
            `failed`: an earlier attempt has ended it so.
    """

    def __init__(self, outcome: str) -> None:
        super().__init__(
            f"unable to write this run; it has ended as {outcome}. Begin another one, with another "
            'key; with on_error="leave" a run that fails is left to the next attempt'
            if outcome == "failed"
            else "unable to write this run; it was ended from outside. Begin another one"
        )
        self.args = (outcome,)
        self.outcome = outcome


class ReplayMismatchError(MidstreamError):
    """A repeated attempt differs from the stored chunks."""

    def __init__(self, sequence: int) -> None:
        super().__init__(
            f"unable to repeat this run; its chunk {sequence} is not the one that an earlier "
            'attempt has sent. Use on_retry="continue" for answers that are not always the same'
        )
        self.args = (sequence,)
        self.sequence = sequence


class RunError(Exception):
    """Fails the run with this text, which people read; raise it in the body."""
