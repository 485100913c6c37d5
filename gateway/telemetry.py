"""Logs and metrics for operators, without secrets.

A log line is one event: `2026-01-31T12:00:00.123Z info run_opened run=run_01 session=c1`.
Modules write with the standard library's loggers; this one formats the lines.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(32), 127)}
"""Escapes for control characters, so that no value can begin a line of its own."""
_SECRET_PARAMETER: Final = re.compile(r"((?:^|[?&;\s\"'])token=)[^&\s\"'#]+", re.IGNORECASE)
_BEARER: Final = re.compile(r"(bearer\s+)[A-Za-z0-9._~+/=-]+", re.IGNORECASE)
_KEY: Final = re.compile(
    r"\b(?:sk|pk|rk|gsk|csk|xai|nvapi|hf|pplx)[-_][A-Za-z0-9_*-]{8,}"
    r"|\bAIza[A-Za-z0-9_-]{10,}|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]+"
)
"""Patterns of providers' keys, and of tokens."""

MAX_QUOTED_CHARS: Final = 300
"""Longest quote of another party's words, in one field of a log line."""

# -- metrics ------------------------------------------------------------------------------

RUNS_ACTIVE: Final = Gauge(
    "midstream_runs_active", "Runs that this gateway produces", multiprocess_mode="livesum"
)
RUNS_ENDED: Final = Counter("midstream_runs_ended_total", "Runs that ended", ["outcome"])
READERS: Final = Gauge(
    "midstream_readers", "Open streams to clients", ["kind"], multiprocess_mode="livesum"
)
READERS_GONE: Final = Counter(
    "midstream_readers_gone_total", "Streams closed before their run or feed ended", ["reason"]
)
CHUNKS_APPENDED: Final = Counter("midstream_chunks_appended_total", "Chunks committed to Redis")
APPEND_SECONDS: Final = Histogram(
    "midstream_append_seconds",
    "Round trip of one pipeline of appends",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
STOPS: Final = Counter("midstream_stops_total", "Runs that a person stopped")
ORPHANS_CLOSED: Final = Counter(
    "midstream_orphans_closed_total", "Runs closed after their producer died"
)
RUNS_RESUMED: Final = Counter(
    "midstream_runs_taken_up_total", "Runs taken over and resumed after their producer died or left"
)
FAILURES_CONTAINED: Final = Counter(
    "midstream_failures_contained_total",
    "Unexpected failures contained to one session, run or loop iteration",
    ["at"],
)
QUARANTINED: Final = Gauge(
    "midstream_quarantined",
    "Sessions and runs quarantined after repeated failures",
    ["at"],
    multiprocess_mode="livesum",
)
PROXIED: Final = Gauge(
    "midstream_proxied", "Proxied requests in flight", ["kind"], multiprocess_mode="livesum"
)
LIMITS_UNCHECKED: Final = Counter(
    "midstream_limits_unchecked_total",
    "Requests whose limits were not checked because Redis was unavailable or slow",
)
ERRORS: Final = Counter("midstream_errors_total", "Requests answered with an error", ["code"])

_SECONDS: Final = (0.5, 1, 2, 3, 5, 8, 13, 20, 30, 45, 60, 120, 300, 600)
"""Buckets of what a person waits for."""

RESUMES: Final = Counter(
    "midstream_resumes_total",
    "Requests to go on reading: after a chunk (`tail`), with the state so far (`state`), a "
    "followed session from its beginning (`snapshot`), or neither was possible (`not_recovered`)",
    ["kind"],
)
FIRST_CHUNK_SECONDS: Final = Histogram(
    "midstream_first_chunk_seconds",
    "From a run's opening to its first chunk besides `start`, committed",
    ["agent"],
    buckets=(0.1, 0.25, *_SECONDS),
)
RUN_SILENCE_SECONDS: Final = Histogram(
    "midstream_run_silence_seconds",
    "Longest silence of a run, while a reader read it; each reader counts once",
    ["agent"],
    buckets=_SECONDS,
)
UNANSWERED_SENDS: Final = Gauge(
    "midstream_unanswered_sends",
    "Runs of this gateway that opened over 30 s ago and have said nothing",
    multiprocess_mode="livesum",
)
RUN_SECONDS: Final = Histogram(
    "midstream_run_seconds",
    "Duration of runs, by the time of Redis",
    ["agent", "outcome"],
    buckets=(0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600),
)
LEFT_WHILE_RUNNING: Final = Counter(
    "midstream_left_while_running_total",
    "Streams left by their clients before the run's end, when nobody else here read it",
)
STOP_SECONDS: Final = Histogram(
    "midstream_stop_seconds",
    "From the request to stop a run until its last chunk was committed",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 15),
)
TOKENS_AFTER_STOP: Final = Counter(
    "midstream_tokens_after_stop_total",
    "Tokens that reached a log behind the stop of their run, estimated from the length of the text",
)
SENDS_REFUSED: Final = Counter(
    "midstream_sends_refused_total", "Sends that were answered with an error", ["code"]
)
QUEUE_DEPTH: Final = Histogram(
    "midstream_queue_depth",
    "Place of each queued message when it was queued",
    buckets=(1, 2, 3, 5, 8, 16, 32),
)
TOKENS: Final = Counter(
    "midstream_tokens_total",
    "Tokens of runs that have ended, as their providers count them",
    ["agent", "model", "direction"],
)
PROVIDER_ERRORS: Final = Counter(
    "midstream_provider_errors_total", "Runs that ended by a failure of their provider", ["class"]
)
LOOP_LAG_SECONDS: Final = Histogram(
    "midstream_event_loop_lag_seconds",
    "How much later than asked the process was woken; measured once a second",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
REDIS_RECONNECTIONS: Final = Counter(
    "midstream_redis_reconnections_total",
    "Times that the connection for records was made again",
)
REDIS_MEMORY: Final = Gauge(
    "midstream_redis_memory_bytes",
    "Memory that Redis uses, of all primaries; NaN if it does not say",
    multiprocess_mode="livemostrecent",
)


class NamedAgents:
    """The agents and models that may be labels: those of the settings. No client adds one."""

    def __init__(self) -> None:
        self._models: dict[str, tuple[str, ...]] = {}

    def add(self, agent: str, models: Iterable[str]) -> None:
        """Take an agent of the settings, its default model first."""
        self._models[agent] = tuple(models)

    def agent(self, name: str) -> str:
        """Return the label of a run's agent."""
        return name if name in self._models else "other"

    def model(self, agent: str, asked: str | None) -> str:
        """Return the label of the model that was asked for, or of the agent's default."""
        models = self._models.get(agent, ())
        if asked is None:
            return models[0] if models else ""
        return asked if asked in models else "other"


NAMED_AGENTS: Final = NamedAgents()


# -- logs ---------------------------------------------------------------------------------


class LineFormatter(logging.Formatter):
    """Formats one record as one line: time, level, and the message.

    Messages are an event and its fields, `run_opened run=run_01 session=c1`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without secrets."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = f"{stamp}.{int(record.msecs):03d}Z {record.levelname.lower()} {record.getMessage()}"
        if record.exc_info:
            line += f" traceback={json.dumps(self.formatException(record.exc_info))}"
        return redact(line.translate(_CONTROLS))


class _ExpectedCuts(logging.Filter):
    """Drops uvicorn's warning about a response that we broke off on purpose.

    A live run's response must never end cleanly without `finish` (to a client that is
    success), and returning without a last body is how an ASGI application breaks a
    connection off. `api/streaming/stream_response.py` logs each with its reason.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return record.msg != "ASGI callable returned without completing response."


def configure_logging(level: str) -> None:
    """Send all logs of this process to stderr, as lines.

    Args:
        level: `debug`, `info`, `warning` or `error`, for the gateway's own.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    handler.addFilter(_ExpectedCuts())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("midstream").setLevel(level.upper())
    # At `info` it logs the addresses of WebSockets with their query, where a token may be.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def redact(text: str) -> str:
    """Return `text` without the values of `token=` parameters and bearer headers."""
    return _BEARER.sub(r"\1[redacted]", _SECRET_PARAMETER.sub(r"\1[redacted]", text))


def quoted(*, secrets: Iterable[str] = (), **said: str | int | None) -> str:
    """Return another party's words as fields of a log line, in order.

    Each is one line, cut at `MAX_QUOTED_CHARS`, and without keys; empty ones are left out.

    Args:
        secrets: further strings to redact.
    """
    fields = []
    for name, value in said.items():
        if value is None or value == "":
            continue
        text = " ".join(str(value).split())
        for secret in secrets:
            text = text.replace(secret, "[redacted]") if secret else text
        text = redact(_KEY.sub("[redacted]", text))
        if len(text) > MAX_QUOTED_CHARS:
            text = text[: MAX_QUOTED_CHARS - 1] + "…"
        fields.append(f"{name}={text if text.isalnum() else json.dumps(text, ensure_ascii=False)}")
    return " ".join(fields)


def redact_url(url: str) -> str:
    """Return a URL without its password and query, for a log or an error."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if at:
        user = f"{user.partition(':')[0]}:***" if ":" in user else "***"
    return urlunsplit((parts.scheme, f"{user}{at}{host}", parts.path, "", ""))
