"""Settings: their sections, defaults and bounds, as frozen Structs.

Settings name secrets (the environment variables that hold them) and never contain one; the
password in a Redis URL is the exception, and is never logged. `source.py` reads and checks them;
`midstream settings` makes docs/settings.md of the descriptions here.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (msgspec reads the annotations)
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from midstream.settings.agents import AgentSettings
from midstream.settings.chat import ChatSettings
from midstream.settings.connections import ConnectionSettings
from midstream.settings.fields import Bytes, Count, Level, Seconds, Section, Text
from midstream.settings.limits import AgentKeyLimitSettings, LimitSettings, TenantLimitSettings
from midstream.settings.providers import ProviderSettings

PREFIX: Final = "MIDSTREAM_"
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class ServerSettings(Section, frozen=True, kw_only=True):
    """Address, limits and timeouts of the HTTP server."""

    host: Annotated[
        Text,
        Meta(description="Address to listen on. Other than loopback needs `auth`, or --insecure."),
    ] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    ] = 8000
    workers: Annotated[
        int, Meta(ge=1, le=256, description="Processes that serve. One for each core is enough.")
    ] = 1
    insecure: Annotated[
        bool,
        Meta(description="Serve other addresses than loopback though `auth.mode` is `none`."),
    ] = False
    demo: Annotated[bool, Meta(description="Serve the live demo at `/`.")] = False
    max_body_bytes: Annotated[
        Bytes, Meta(description="Largest request body, and largest WebSocket message.")
    ] = 8 * 1024 * 1024
    max_socket_requests: Annotated[
        Count, Meta(description="Streams that one WebSocket may have open at the same time.")
    ] = 32
    heartbeat_interval_s: Annotated[
        Seconds, Meta(description="An idle stream sends a comment this often.")
    ] = 15.0
    write_deadline_s: Annotated[
        Seconds, Meta(description="A client that reads nothing for this long is disconnected.")
    ] = 60.0
    drain_limit_s: Annotated[
        float,
        Meta(ge=0, description="At a shutdown, how long runs under way may take to finish."),
    ] = 30.0
    cors_origins: Annotated[
        tuple[str, ...] | None,
        Meta(
            description="Origins of web pages that may call the gateway, besides its own. "
            "`*` stands for any text: `https://*.example.com`. Also checked for WebSockets. "
            "Unset: pages of this machine (`http://localhost:*`, `http://127.0.0.1:*`) while it "
            "listens on loopback without `auth.cookie`, none otherwise."
        ),
    ] = None
    allowed_hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="Host names that requests may name. Empty: loopback names while it "
            "listens on loopback without `auth` (so that no web page can rebind its name to "
            "your machine), any otherwise. `/livez` and `/readyz` answer to every name."
        ),
    ] = ()
    client_level: Annotated[
        Level,
        Meta(
            description="Major version of the AI SDK (5, 6, 7) assumed of clients that name none "
            "in `x-ai-sdk-version` or `?v=`."
        ),
    ] = 5
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="Lowest level to log."),
    ] = "info"


class RedisSettings(Section, frozen=True, kw_only=True):
    """The Redis that keeps the sessions."""

    url: Annotated[
        str,
        Meta(
            description="`redis://`, `rediss://` or `unix://` URL of a server of yours, "
            "`redis+cluster://HOST:PORT,HOST:PORT` of a cluster (docs/cluster.md), or "
            "`redis+sentinel://HOST:PORT,HOST:PORT/NAME` of a primary behind Sentinels. Also "
            "REDIS_URL. Empty: the gateway starts a Redis of its own in `data_dir`."
        ),
    ] = ""
    data_dir: Annotated[
        Text, Meta(description="Where the gateway's own Redis keeps its append-only file.")
    ] = ".midstream"
    appendfsync: Annotated[
        Literal["everysec", "always"],
        Meta(
            description="How the gateway's own Redis writes to disk. `everysec`: if Redis is "
            "killed or the power fails, the last second may be gone, two on a slow disk; answers "
            "under way are completed again. `always`: nothing is, and each write waits for the "
            "disk."
        ),
    ] = "everysec"
    key_prefix: Annotated[
        str,
        Meta(
            pattern=r"\A[A-Za-z0-9_\-]{1,32}\Z",
            description="All keys begin with it: gateways with another one see nothing of ours.",
        ),
    ] = "ms"
    session_ttl_s: Annotated[
        Seconds, Meta(description="A session is forgotten this long after its last run.")
    ] = 604_800.0
    reconnect_window_s: Annotated[
        Seconds,
        Meta(description="How long an ended run's chunks stay readable one by one."),
    ] = 3_600.0
    command_timeout_s: Annotated[
        Seconds,
        Meta(description="Time limit of one command; beyond it Redis is unavailable."),
    ] = 5.0


class RunSettings(Section, frozen=True, kw_only=True):
    """Leases of runs, and limits while Redis is unavailable."""

    lease_s: Annotated[
        Seconds, Meta(description="A producer that does not renew for this long loses its run.")
    ] = 8.0
    max_lease_s: Annotated[
        Seconds,
        Meta(description="How long the run of a worker may wait for its job's next attempt."),
    ] = 3600.0
    renew_interval_s: Annotated[Seconds, Meta(description="How often producers renew.")] = 2.5
    reaper_tick_s: Annotated[
        Seconds, Meta(description="How often gateways look for runs without a producer.")
    ] = 2.0
    producer_outage_limit_s: Annotated[
        Seconds,
        Meta(description="How long a run continues while Redis is unavailable. Then it fails."),
    ] = 60.0
    reader_outage_limit_s: Annotated[
        Seconds,
        Meta(description="How long a reader waits while Redis is unavailable, before its error."),
    ] = 30.0
    max_pending_bytes: Annotated[
        Bytes,
        Meta(
            description="Chunks of one run held while Redis is unavailable; then its agent waits."
        ),
    ] = 4 * 1024 * 1024


class AuthSettings(Section, frozen=True, kw_only=True):
    """Authentication. `jwt`: bearer tokens of your own issuer; the `sub` claim owns sessions."""

    mode: Annotated[
        Literal["none", "jwt"],
        Meta(description="`none`: all callers are one anonymous user. `jwt`: tokens."),
    ] = "none"
    secret_env: Annotated[
        Text,
        Meta(description="Environment variable with the HS256 secret, at least 32 bytes."),
    ] = "MIDSTREAM_AUTH_SECRET"  # noqa: S105 (a name)
    jwks: Annotated[
        str,
        Meta(description="File or https:// URL of a JWKS: RS256 and ES256 tokens. No secret then."),
    ] = ""
    jwks_max_age_s: Annotated[
        Seconds, Meta(description="A JWKS is read again after this long; an unknown key sooner.")
    ] = 300.0
    audience: Annotated[str, Meta(description="The `aud` claim that is required, if any.")] = ""
    issuer: Annotated[str, Meta(description="The `iss` claim that is required, if any.")] = ""
    leeway_s: Annotated[
        float, Meta(ge=0, le=300, description="Allowed difference of clocks, for exp and nbf.")
    ] = 10.0
    tenant_claim: Annotated[
        Text,
        Meta(
            description="The claim that names the bearer's tenant. Sessions are of one tenant; "
            'only `role = "admin"` sees those of another. Tokens without it share a tenant.'
        ),
    ] = "tenant"
    cookie: Annotated[
        str, Meta(description="Name of a cookie that may hold the token. Empty: none.")
    ] = ""


class AgentKeySettings(Section, frozen=True, kw_only=True):
    """A key with which agents outside the gateway write runs, `[agent_keys.NAME]`.

    It acts for the user that a request names. Without any key, all callers may write runs while
    `auth.mode` is `none`, and none otherwise.
    """

    key_env: Annotated[
        Text,
        Meta(description="Environment variable with the key, at least 16 characters."),
    ]
    tenant: Annotated[
        str,
        Meta(
            description="The tenant whose sessions it writes to, and no others; as the tokens of "
            "its people name it. Empty: that of tokens without one."
        ),
    ] = ""
    agents: Annotated[
        tuple[Text, ...],
        Meta(description="The agents whose runs it may write. Empty: any that a request names."),
    ] = ()
    users: Annotated[
        Literal["any", "owner"],
        Meta(
            description="`any`: it may begin sessions, for any user that a request names. `owner`: "
            "it writes to sessions that exist, for their owners, and begins none."
        ),
    ] = "any"


class ProxySettings(Section, frozen=True, kw_only=True):
    """`/proxy`: the providers' own APIs, passed through. See docs/proxy.md."""

    max_body_bytes: Annotated[
        Bytes, Meta(description="Largest request body that is forwarded, file uploads included.")
    ] = 512 * 1024 * 1024
    max_call_bytes: Annotated[
        Bytes,
        Meta(description="Largest request body of a call that names a session; it is buffered."),
    ] = 64 * 1024 * 1024
    idle_limit_s: Annotated[
        Seconds,
        Meta(description="How long a run of several calls waits for the next, while tools run."),
    ] = 120.0
    finish_calls: Annotated[
        bool,
        Meta(
            description="When a backend disconnects from a call that names a session, read the "
            "provider's answer to its end, for the session. Otherwise the call is cancelled."
        ),
    ] = False


class Settings(Section, frozen=True, kw_only=True):
    """All settings, checked."""

    server: ServerSettings = ServerSettings()
    connections: ConnectionSettings = ConnectionSettings()
    redis: RedisSettings = RedisSettings()
    runs: RunSettings = RunSettings()
    chat: ChatSettings = ChatSettings()
    auth: AuthSettings = AuthSettings()
    proxy: ProxySettings = ProxySettings()
    limits: LimitSettings = LimitSettings()
    tenant_limits: TenantLimitSettings = TenantLimitSettings()
    agent_key_limits: AgentKeyLimitSettings = AgentKeyLimitSettings()
    default_agent: Annotated[
        str,
        Meta(description="Agent of requests that name none. Empty: the first one configured."),
    ] = ""
    agent_keys: Mapping[str, AgentKeySettings] = {}
    agents: Mapping[str, AgentSettings] = {}
    providers: Mapping[str, ProviderSettings] = {}


SECTIONS: Final[dict[str, type[Struct]]] = {
    "server": ServerSettings,
    "connections": ConnectionSettings,
    "redis": RedisSettings,
    "runs": RunSettings,
    "chat": ChatSettings,
    "auth": AuthSettings,
    "proxy": ProxySettings,
    "limits": LimitSettings,
    "tenant_limits": TenantLimitSettings,
    "agent_key_limits": AgentKeyLimitSettings,
}
"""The sections whose fields have environment variables."""

NAMED_TABLES: Final[dict[str, type[Struct]]] = {
    "agent_keys": AgentKeySettings,
    "agents": AgentSettings,
    "providers": ProviderSettings,
}
"""Tables with names, such as `[agents.NAME]`."""


def environment_name(section: str, field: str) -> str:
    """Return the environment variable of a setting."""
    return f"{PREFIX}{section}_{field}".upper()
