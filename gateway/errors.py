"""Errors of the gateway: codes, sentences, and what a client should do.

    GatewayError                     .code .http_status .ws_close_code .temporary
      ClientError                    the request cannot be served as it is
        InvalidRequestError 400 · UnauthorizedError 401 · TokenExpiredError 401
        ForbiddenError 403
        SessionNotFoundError 404 · MessageNotFoundError 404 · AgentNotFoundError 404
        RunActiveError 409 · RunStoppedError 409 · ConflictError 409
        QueueFullError 409 · EntryTakenError 409
        SideRunsFullError 409 · ParentEndedError 409
        NotRecoveredError 410 · TooLargeError 413 · RateLimitedError 429
        FencedError 409              another producer has the run; end without writing
        SequenceGapError 409 · RunEndedError 409 · IllegalChunkPushedError 400
      StoreError
        StoreUnavailableError 503    Redis cannot be reached; outcome unknown
        LogLostError                 the log is not what was acknowledged
        UpgradeNeededError 503       a newer gateway has written the session; this one reads on
      ProviderError                  .retry_after_s
        ProviderRateLimitedError · ProviderRejectedError · ProviderUnavailableError
      AgentError                     an agent failed, in its own words
      DrainingError 503              this process is shutting down
      SettingsError                  a setting is wrong; the process does not start

`message` is written for the person who reads it and is sent to clients: it names no
secret, no path and nothing that a provider answered. Codes are public; docs/errors.md
lists each with its cause and what a client does. WebSocket close codes: 4000-4499 mean
"reconnect", 4500-4999 "do not".
"""

from __future__ import annotations

from typing import ClassVar, Self


class GatewayError(Exception):
    """Base: a failure with a public code and sentence.

    Args:
        message: one sentence of what went wrong, then what to do. Public.
        details: more public facts, added to the error's JSON.

    Attributes:
        note: for the log alone: another party's words, bounded and without keys.
    """

    code: ClassVar[str] = "internal_error"
    http_status: ClassVar[int] = 500
    ws_close_code: ClassVar[int] = 4500
    temporary: ClassVar[bool] = False

    def __init__(self, message: str, **details: str | int) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.note = ""


class ClientError(GatewayError):
    """The request cannot be served as it is."""

    code = "invalid_request"
    http_status = 400


class InvalidRequestError(ClientError):
    """Malformed or contradictory; nothing was changed."""


class UnauthorizedError(ClientError):
    """No valid token."""

    code = "unauthorized"
    http_status = 401
    ws_close_code = 4501


class TokenExpiredError(ClientError):
    """The token that a feed or a socket began with has ended: connect again with a new one."""

    code = "token_expired"
    http_status = 401
    ws_close_code = 4003
    temporary = True


class ForbiddenError(ClientError):
    """The caller is known and may not do this (an origin, or a read-only role)."""

    code = "forbidden"
    http_status = 403
    ws_close_code = 4503


class SessionNotFoundError(ClientError):
    """No such session, or none that the caller may see."""

    code = "session_not_found"
    http_status = 404


class MessageNotFoundError(ClientError):
    """The request names a message that the session does not have."""

    code = "message_not_found"
    http_status = 404


class RunNotFoundError(ClientError):
    """The request names a run that the session does not have."""

    code = "run_not_found"
    http_status = 404


class AgentNotFoundError(ClientError):
    """The request names an agent or model that is not configured."""

    code = "agent_not_found"
    http_status = 404


class PackageNotBuiltError(ClientError):
    """The npm package is asked for, and this installation was made without building it."""

    code = "package_not_built"
    http_status = 404


class RunActiveError(ClientError):
    """Another run of the session is under way."""

    code = "run_active"
    http_status = 409
    temporary = True


class RunStoppedError(ClientError):
    """A person has stopped the run that the request continues."""

    code = "run_stopped"
    http_status = 409


class ConflictError(ClientError):
    """The request continues something that has ended or was answered."""

    code = "conflict"
    http_status = 409


class QueueFullError(ClientError):
    """The session's queue holds as much as it may."""

    code = "queue_full"
    http_status = 409
    temporary = True


class EntryTakenError(ClientError):
    """The queued message has its run, or gets it at once; `runId` names it, if it is known."""

    code = "entry_taken"
    http_status = 409


class SideRunsFullError(ClientError):
    """As many side runs are under way as a session may have."""

    code = "side_runs_full"
    http_status = 409
    temporary = True


class ParentEndedError(ClientError):
    """A side run is asked for that no run under way would wait for."""

    code = "parent_ended"
    http_status = 409


class KeyReusedError(ClientError):
    """The key of a claim belongs to another job; `runId` is that one's run."""

    code = "key_reused"
    http_status = 409


class SteerNotDeliveredError(ClientError):
    """The running answer could not have the message, and its sender wanted it back; `reason`."""

    code = "steer_not_delivered"
    http_status = 409


class FencedError(ClientError):
    """Another producer took the run over. Write nothing more."""

    code = "fenced"
    http_status = 409

    @classmethod
    def by_later_attempt(cls) -> Self:
        """Return the error of an attempt at a job whose run a later one has claimed."""
        return cls("unable to write this run; a later attempt has claimed it")


class SequenceGapError(ClientError):
    """Chunks that do not follow the stored ones; `next` is the sequence to continue from."""

    code = "sequence_gap"
    http_status = 409


class RunEndedError(ClientError):
    """The run has ended; `outcome` tells how."""

    code = "run_ended"
    http_status = 409


class IllegalChunkPushedError(ClientError):
    """An invalid chunk, or one that is illegal in its place; `index` names it.

    The chunks before it are stored: `next` is the sequence to continue from.
    """

    code = "illegal_chunk"
    http_status = 400


class NotRecoveredError(ClientError):
    """A position that the log cannot continue from: reload the snapshot."""

    code = "not_recovered"
    http_status = 410


class TooLargeError(ClientError):
    """A body, frame or message over its limit."""

    code = "too_large"
    http_status = 413
    ws_close_code = 4513


class RateLimitedError(ClientError):
    """The caller has reached a limit: `limit` names it, and after `resetMs` there is room again."""

    code = "rate_limited"
    http_status = 429
    ws_close_code = 4004
    temporary = True

    def __init__(self, message: str, *, limit: str, reset_ms: int) -> None:
        super().__init__(message, limit=limit, resetMs=reset_ms)
        self.retry_after_s = max(1, -(-reset_ms // 1000))


class StoreError(GatewayError):
    """Redis, or what it holds."""

    code = "store_error"
    http_status = 503
    temporary = True


class StoreUnavailableError(StoreError):
    """Redis cannot be reached. Whether the command was applied is unknown."""

    code = "store_unavailable"
    ws_close_code = 4001


class LogLostError(StoreError):
    """The session's log is gone or shorter than what was acknowledged."""

    code = "log_lost"


class UpgradeNeededError(StoreError):
    """The session's format is above what this gateway writes; nothing was changed.

    Another gateway, or this one after its upgrade, takes the same request.
    """

    code = "upgrade_needed"
    ws_close_code = 4000


class ProviderError(GatewayError):
    """A model provider failed. The sentence never quotes what it answered."""

    code = "provider_error"
    http_status = 502

    def __init__(
        self, message: str, *, retry_after_s: float | None = None, **details: str | int
    ) -> None:
        super().__init__(message, **details)
        self.retry_after_s = retry_after_s


class ProviderRateLimitedError(ProviderError):
    """429, or an overload event."""

    code = "provider_rate_limited"
    temporary = True


class ProviderRejectedError(ProviderError):
    """4xx other than 429: key, model or request are wrong."""

    code = "provider_rejected"


class ProviderUnavailableError(ProviderError):
    """5xx, a time limit, or a lost connection."""

    code = "provider_unavailable"
    temporary = True


class AgentError(GatewayError):
    """An agent said that it failed, in a sentence of its own."""

    code = "agent_error"
    http_status = 502


class DrainingError(GatewayError):
    """This process is shutting down: send again, another one takes it."""

    code = "draining"
    http_status = 503
    ws_close_code = 4000
    temporary = True


class SettingsError(GatewayError):
    """A setting is wrong; the sentence names it, its value's problem and a right one."""

    code = "settings"
