"""Composition root: settings -> store, agents -> sessions -> HTTP."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from midstream.aio.idle_timeout import IdleTimeout
from midstream.api.ag_ui import run_ag_ui
from midstream.api.agents import list_agents
from midstream.api.auth.agent_keys import create_agent_keys
from midstream.api.auth.gate import Gate, origin_regex, page_origins, served_hosts
from midstream.api.auth.tokens import create_authenticator
from midstream.api.chat.diagnosis import diagnose
from midstream.api.chat.follow_many import follow_sessions
from midstream.api.chat.follow_one import follow_session
from midstream.api.chat.queue import QueueController
from midstream.api.chat.routes import ChatController, list_chats
from midstream.api.chat.run_stream import EXPOSED_HEADERS
from midstream.api.chat.steer import steer
from midstream.api.chat.websocket import chat_socket
from midstream.api.context import Api, CurrentApi, dependencies
from midstream.api.demo import demo_pages, worker_handlers
from midstream.api.desk import HandoffController, desk, desk_events
from midstream.api.every_response import EveryResponse
from midstream.api.failures import ERROR_HEADER, EXCEPTION_HANDLERS
from midstream.api.health import livez, metrics, readyz
from midstream.api.package import package_handler
from midstream.api.pages import browser_files
from midstream.api.proxy.routes import Proxy, proxy_handler
from midstream.api.proxy.turns import TurnController
from midstream.api.push import PushController
from midstream.api.users import UserController
from midstream.limits.addresses import Addresses, named_proxies
from midstream.limits.limiter import open_limiter
from midstream.limits.policy import policy_of
from midstream.live_demo.process_map import TracedAgents, process_map
from midstream.providers.configured import open_upstreams
from midstream.sessions import (
    HandoffLimits,
    LeaseLimits,
    Limits,
    ProducerLimits,
    ProxiedLimits,
    ReaderLimits,
    SessionLimits,
    TurnLimits,
    open_sessions,
)
from midstream.sessions.diagnosis.diagnose import Diagnosing
from midstream.settings.redis_url import SingleUrl, parse_redis_url
from midstream.settings.sections import LOOPBACK
from midstream.settings.source import load_settings
from midstream.store.calls import HELD_S
from midstream.store.redis.store import RedisStore
from midstream.store.server.facts import KnownServer, log_server
from midstream.store.server.settings import QueueSettings, StoreSettings
from midstream.telemetry import NAMED_AGENTS
from midstream.version import VERSION
from midstream.wiring import forwarded_headers, open_agents

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from litestar.types import ControllerRouterHandler

    from midstream.agents.python.agent import Agent
    from midstream.settings.sections import Settings

logger = logging.getLogger(__name__)

DEFAULT_REDIS_URL: Final = "redis://127.0.0.1:6379"
"""Default for an application without `midstream serve`, which always sets one."""


class Gateway:
    """One process's gateway: an ASGI application.

    The server runs its lifespan. Mounted in another application, which passes no lifespan on, it
    needs `async with gateway.open()` in the lifespan of that one.

    Args:
        agents: besides the configured ones.
        simulator_url: where the simulated providers are; empty: it has its own, if needed.
        owns_redis: whoever starts this has started the Redis, for it alone.
    """

    def __init__(
        self,
        settings: Settings,
        agents: Sequence[Agent] = (),
        *,
        simulator_url: str = "",
        owns_redis: bool = False,
    ) -> None:
        self._settings = settings
        self._owns_redis = owns_redis
        self._simulator_url = simulator_url
        self._agents = agents
        self._authenticator = create_authenticator(settings.auth)
        self._gate = Gate(
            self._authenticator,
            create_agent_keys(settings),
            origins=page_origins(settings),
            hosts=served_hosts(settings),
            cookie=settings.auth.cookie,
            addresses=Addresses(named_proxies(settings.connections)),
        )
        self._deadline = IdleTimeout(settings.server.write_deadline_s)
        self._current = CurrentApi()
        self._was_open = False
        self._asgi = EveryResponse(
            build_litestar(
                self._current,
                Proxy(self._current, settings.proxy, self._deadline),
                settings,
                lifespan=self.open,
            ),
            self._gate,
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one ASGI connection."""
        if not (self._current.is_open or self._was_open or scope["type"] == "lifespan"):
            self._was_open = True
            logger.error(
                "gateway_not_open hint=hold `async with gateway.open()` in the lifespan of the "
                "application that it is mounted in"
            )
        if scope.get("root_path"):
            scope = _below_root(scope)
        body = await self._asgi.begin(scope, receive, send)
        del scope  # a stream is open for hours, and needs no request any more
        if body is not None:
            await body

    @asynccontextmanager
    async def open(self, _: object = None) -> AsyncIterator[None]:
        """Connect, start the process's tasks, and serve until left; leaving drains.

        Raises:
            SettingsError: an agent, a key set or the Redis URL cannot be used.
            RuntimeError: it is open already.
        """
        if self._current.is_open:
            raise RuntimeError("unable to open the gateway; it is open")
        async with AsyncExitStack() as stack:
            api = await self._connect(stack)
            self._was_open = True
            with self._current.serve(api):
                yield
                await self.drain()

    async def _connect(self, stack: AsyncExitStack) -> Api:
        """Open the store, the agents and the sessions; return the API over them."""
        settings = self._settings
        await self._authenticator.start()
        store = await stack.enter_async_context(
            RedisStore.connect(
                settings.redis.url or DEFAULT_REDIS_URL, settings=store_settings(settings)
            )
        )
        server = KnownServer(store.describe)
        await log_server(server)
        upstreams = await stack.enter_async_context(open_upstreams(settings))
        agents = await stack.enter_async_context(
            open_agents(settings, self._agents, simulator_url=self._simulator_url)
        )
        for offer in agents.offers():
            NAMED_AGENTS.add(offer.name, offer.models)
        finder = TracedAgents(agents, process_map(settings)) if settings.server.demo else agents
        # It outlives the sessions: it counts what their last runs come to.
        limits = await stack.enter_async_context(
            open_limiter(
                store.limits,
                policy_of(settings),
                strict=settings.limits.strict,
                wait_s=settings.limits.redis_wait_ms / 1000,
            )
        )
        sessions = await stack.enter_async_context(
            open_sessions(
                store,
                finder,
                session_limits(settings),
                adopt_hold=limits.adopt,
                owns_redis=self._owns_redis,
            )
        )
        return Api(
            settings=settings.server,
            gate=self._gate,
            sessions=sessions,
            users=sessions.users,
            diagnosis=Diagnosing(store),
            limits=limits,
            deadline=self._deadline,
            agents=agents.offers(),
            forwarded=forwarded_headers(settings.agents.values()),
            upstreams=upstreams,
            server=server,
            probe=store.probe,
        )

    async def drain(self) -> None:
        """Take no new runs, send others' readers away, and let own runs finish; bounded."""
        await self._current.drain(self._settings.server.drain_limit_s)


def create_app(settings: Settings | None = None, *, agents: Sequence[Agent] = ()) -> Gateway:
    """Return the gateway as an ASGI application.

    `uvicorn --factory midstream.app:create_app` serves it, over the Redis of REDIS_URL.
    `midstream serve` does more: it owns a Redis, restarts workers, and bounds what a slow
    client costs the kernel.

    Args:
        settings: read from midstream.toml and the environment if None.
        agents: in Python, before the configured ones, so that the first one is the default.
            With them, there are no simulated ones unless configured.

    Raises:
        SettingsError: a setting is wrong.
    """
    return Gateway(settings or load_settings(), agents)


def build_litestar(
    current: CurrentApi,
    proxy: Proxy,
    settings: Settings,
    *,
    lifespan: Callable[[Litestar], AbstractAsyncContextManager[None]] | None,
) -> Litestar:
    """Return the HTTP application over the API that is current."""
    return Litestar(
        route_handlers=_handlers(proxy, settings),
        dependencies=dependencies(current),
        exception_handlers=EXCEPTION_HANDLERS,
        cors_config=CORSConfig(
            allow_origins=[],
            allow_origin_regex=origin_regex(page_origins(settings)),
            allow_credentials=True,
            expose_headers=[*EXPOSED_HEADERS, ERROR_HEADER],
        ),
        openapi_config=OpenAPIConfig(
            title="Midstream",
            version=VERSION,
            path="/schema",
            render_plugins=[JsonRenderPlugin(path="/")],
        ),
        lifespan=[] if lifespan is None else [lifespan],
        request_max_body_size=settings.server.max_body_bytes,
        logging_config=None,
        debug=False,
    )


def _handlers(proxy: Proxy, settings: Settings) -> list[ControllerRouterHandler]:
    demo = [*demo_pages(), *worker_handlers(process_map(settings))] if settings.server.demo else []
    return [
        *demo,
        *browser_files(),
        ChatController,
        QueueController,
        steer,
        HandoffController,
        desk,
        desk_events,
        PushController,
        TurnController,
        diagnose,
        chat_socket,
        follow_session,
        follow_sessions,
        list_agents,
        list_chats,
        run_ag_ui,
        UserController,
        package_handler(),
        livez,
        readyz,
        metrics,
        proxy_handler(proxy),
    ]


def _below_root(scope: Any) -> Any:
    """Return a mounted application's scope as it would be at the root.

    Litestar cuts a path at the root path's first occurrence, wherever that is: with a root of
    `/chat`, it would route `/api/chat/x` to `/x`.
    """
    root = scope["root_path"].rstrip("/")
    path = scope["path"]
    if path == root or path.startswith(f"{root}/"):
        path = path[len(root) :] or "/"
    return {**scope, "root_path": "", "path": path}


def store_settings(settings: Settings) -> StoreSettings:
    """Return the store's part of the settings."""
    redis = settings.redis
    return StoreSettings(
        key_prefix=redis.key_prefix,
        session_ttl_s=redis.session_ttl_s,
        reconnect_window_s=redis.reconnect_window_s,
        command_timeout_s=redis.command_timeout_s,
        queue=QueueSettings(
            max_bytes=settings.chat.max_queue_bytes,
            take_ms=int(settings.runs.lease_s * 1000),
            wait_ms=int(settings.chat.wait_timeout_s * 1000),
        ),
    )


def held_s(url: str) -> float:
    """Return how long a failover of what is at a URL may take back what was stored."""
    return 0.0 if not url or isinstance(parse_redis_url(url), SingleUrl) else HELD_S


def session_limits(settings: Settings) -> Limits:
    """Return the sessions' part of the settings."""
    runs, redis, server, chat = settings.runs, settings.redis, settings.server, settings.chat
    return Limits(
        sessions=SessionLimits(
            lease_ms=int(runs.lease_s * 1000),
            on_active=chat.on_active,
            agents_on_active={
                name: agent.on_active
                for name, agent in settings.agents.items()
                if agent.on_active is not None
            },
            queue_max_bytes=chat.max_queue_bytes,
        ),
        turns=TurnLimits(tick_s=runs.reaper_tick_s, resume_rate=chat.resume_rate),
        readers=ReaderLimits(
            heartbeat_interval_s=server.heartbeat_interval_s,
            outage_limit_s=runs.reader_outage_limit_s,
            queued_limit_s=chat.wait_stream_s,
        ),
        handoffs=HandoffLimits(
            wait_ms=int(chat.wait_timeout_s * 1000),
            claim_ms=int(chat.claim_timeout_s * 1000),
            lease_ms=int(runs.lease_s * 1000),
            reconnect_window_s=redis.reconnect_window_s,
            is_open=settings.auth.mode == "none" and (server.demo or server.host in LOOPBACK),
            heartbeat_interval_s=server.heartbeat_interval_s,
        ),
        producers=ProducerLimits(
            max_pending_bytes=runs.max_pending_bytes,
            outage_limit_s=runs.producer_outage_limit_s,
            held_s=held_s(redis.url),
            reconnect_window_s=redis.reconnect_window_s,
        ),
        proxied=ProxiedLimits(
            idle_s=settings.proxy.idle_limit_s, max_waiting_bytes=runs.max_pending_bytes
        ),
        leases=LeaseLimits(
            lease_s=runs.lease_s,
            longest_s=runs.max_lease_s,
            renew_interval_s=runs.renew_interval_s,
            tick_s=runs.reaper_tick_s,
            reconnect_window_s=redis.reconnect_window_s,
        ),
    )
