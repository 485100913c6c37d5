"""Sources of settings: one file and the environment, checked at start.

Precedence: command line, environment, file, default. Every field of every section has an
environment variable, `MIDSTREAM_SECTION_FIELD`; agents and providers are configured in the
file only. An error is one sentence, before anything has started.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from midstream.errors import SettingsError
from midstream.ids import MAX_ID_LENGTH, escaped
from midstream.settings.fields import is_http_url
from midstream.settings.provider_kinds import KINDS, kind_name, simulators
from midstream.settings.providers import ProviderSettings
from midstream.settings.redis_url import parse_redis_url
from midstream.settings.sections import (
    LOOPBACK,
    NAMED_TABLES,
    PREFIX,
    SECTIONS,
    Settings,
    environment_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from midstream.settings.agents import AgentSettings
    from midstream.settings.sections import AuthSettings

T = TypeVar("T")

DEFAULT_FILE: Final = Path("midstream.toml")
MIN_SECRET_BYTES: Final = 32
"""HS256 is as strong as its key; RFC 7518 §3.2 wants at least the hash's size."""

_AGENT_KEY: Final = re.compile(r"[!-~]{16,}")
"""Printable ASCII without blanks, as a header needs it."""

_ALIASES: Final = {"REDIS_URL": ("redis", "url")}
_OTHER_VARIABLES: Final = frozenset({"MIDSTREAM_CONFIG"})
_SECRETS: Final = ("_SECRET", "_KEY")
"""Ends of names that settings may refer to (`auth.secret_env`, `api_key_env`, `key_env`)."""

_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OWN_HEADERS: Final = frozenset(
    {
        *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding"),
        *("upgrade", "expect", "host", "proxy-authenticate", "proxy-authorization"),
        *("accept", "accept-encoding", "content-encoding", "content-length", "content-type"),
        *("user-agent", "x-midstream-run-id", "x-midstream-key"),
    }
)
"""Headers of one connection, or of the gateway itself (RFC 9110 §7.6.1)."""


def load_settings(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, Mapping[str, object]] | None = None,
) -> Settings:
    """Read and check all settings.

    Args:
        file: a TOML file that must exist; None reads `midstream.toml` if there is one.
        environment: `os.environ` if None.
        overrides: section -> field -> value, over everything else (the command line).

    Raises:
        SettingsError: with one sentence that names the setting and what it may be.
    """
    environment = os.environ if environment is None else environment
    tree = _read_file(file)
    for (section, field), value in _from_environment(environment):
        _section(tree, section)[field] = value
    for section, values in (overrides or {}).items():
        _section(tree, section).update(values)
    for table, struct in NAMED_TABLES.items():
        for name, fields in _section(tree, table).items():
            _convert(fields, struct, f"{table}.{name}")
    settings = _convert(tree, Settings, "")
    _check(settings, environment)
    return settings


def _read_file(file: Path | None) -> dict[str, object]:
    if file is None and not DEFAULT_FILE.is_file():
        return {}
    path = file or DEFAULT_FILE
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"unable to read the settings file {path}; {error.strerror or error}"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"unable to read the settings file {path}; {error}") from None


def _section(tree: dict[str, object], name: str) -> dict[str, object]:
    section = tree.setdefault(name, {})
    if not isinstance(section, dict):
        raise SettingsError(f"unable to use the setting `{name}`; it must be a table, `[{name}]`")
    return section


def _from_environment(
    environment: Mapping[str, str],
) -> Iterator[tuple[tuple[str, str], object]]:
    """Yield (section, field) and value, aliases first so that the longer name wins."""
    names = {
        environment_name(section, info.name): (section, info.name, info.type)
        for section, struct in SECTIONS.items()
        for info in msgspec.structs.fields(struct)
    }
    for alias, where in _ALIASES.items():
        if environment.get(alias):
            yield where, environment[alias]
    for name, text in environment.items():
        if not name.startswith(PREFIX) or name in _OTHER_VARIABLES or name.endswith(_SECRETS):
            continue
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1, cutoff=0.8)
            hint = f"did you mean {close[0]}?" if close else "`midstream settings` lists them all"
            raise SettingsError(f"unable to use the environment variable {name}; {hint}")
        section, field, kind = names[name]
        yield (section, field), _from_text(name, text, kind)


def _from_text(name: str, text: str, kind: type) -> object:
    """Convert a variable's text; lists are separated by commas."""
    value: object = text
    info = msgspec.inspect.type_info(kind)
    if isinstance(info, msgspec.inspect.Metadata):
        info = info.type
    kinds = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
    if any(isinstance(each, msgspec.inspect.VarTupleType) for each in kinds):
        value = [item.strip() for item in text.split(",") if item.strip()]
    try:
        return msgspec.to_builtins(msgspec.convert(value, kind, strict=False))
    except msgspec.ValidationError as error:
        raise SettingsError(
            f"unable to use the environment variable {name}; {_lower(str(error))}"
        ) from None


def _convert(value: object, kind: type[T], where: str) -> T:
    """Convert a table; msgspec says `Expected … - at `$.server.port``, we name the setting."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at ")
        path = (where + path.strip("`").removeprefix("$")).lstrip(".") or "the file's top level"
        raise SettingsError(f"unable to use the setting `{path}`; {_lower(problem)}") from None


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _check(settings: Settings, environment: Mapping[str, str]) -> None:
    """Check rules that no single type can express."""
    _check_exposure(settings)
    _check_networks(settings.connections.trusted_proxies)
    _check_auth(settings.auth, environment)
    _check_agents(settings, environment)
    _check_agent_keys(settings, environment)
    runs = settings.runs
    if runs.renew_interval_s * 2 > runs.lease_s:
        raise SettingsError(
            "unable to use the setting `runs.renew_interval_s`; it must be at most half of "
            f"`runs.lease_s` ({runs.lease_s:g}), so that one late renewal loses no run"
        )
    if settings.redis.url:
        parse_redis_url(settings.redis.url)


def _check_exposure(settings: Settings) -> None:
    server = settings.server
    if server.host in LOOPBACK or settings.auth.mode != "none" or server.insecure:
        return
    raise SettingsError(
        f"unable to listen on {server.host} without authentication; set `auth.mode` to `jwt`, "
        "or pass --insecure if something before the gateway authenticates"
    )


def _check_networks(networks: Iterable[str]) -> None:
    for network in networks:
        try:
            ip_network(network)
        except ValueError as error:
            raise SettingsError(
                f"unable to use the setting `connections.trusted_proxies`; {error}: write a "
                "network as 192.0.2.0/24, or one address"
            ) from None


def _check_auth(auth: AuthSettings, environment: Mapping[str, str]) -> None:
    if auth.mode == "none":
        return
    if auth.jwks:
        if auth.jwks.startswith("http://"):
            raise SettingsError(
                "unable to use the setting `auth.jwks`; keys must come over https:// or from a file"
            )
        return
    secret = environment.get(auth.secret_env, "")
    if len(secret.encode()) < MIN_SECRET_BYTES:
        problem = f"is shorter than {MIN_SECRET_BYTES} bytes" if secret else "is not set"
        raise SettingsError(
            f"unable to check tokens; {auth.secret_env} {problem}: set it to the issuer's HS256 "
            "secret, or set `auth.jwks`"
        )


def _check_agent_keys(settings: Settings, environment: Mapping[str, str]) -> None:
    for name, provider in settings.providers.items():
        if provider.proxy_key == "gateway" and not settings.agent_keys:
            raise SettingsError(
                f"unable to use the setting `providers.{name}.proxy_key`; it lets "
                "agents spend the gateway's key, so add an `[agent_keys.NAME]`"
            )
    for name, key in settings.agent_keys.items():
        if _AGENT_KEY.fullmatch(environment.get(key.key_env, "")) is None:
            raise SettingsError(
                f"unable to use the agent key `{name}`; set {key.key_env} to at least 16 "
                "printable ASCII characters, without blanks"
            )
        if key.tenant and settings.auth.mode == "none":
            raise SettingsError(
                f"unable to use the setting `agent_keys.{name}.tenant`; tenants come "
                'from tokens: set `auth.mode` to "jwt"'
            )
        if len(escaped(key.tenant)) > MAX_ID_LENGTH:
            raise SettingsError(
                f"unable to use the setting `agent_keys.{name}.tenant`; it must be at most "
                f"{MAX_ID_LENGTH} characters"
            )


def _check_agents(settings: Settings, environment: Mapping[str, str]) -> None:
    for name, provider in settings.providers.items():
        _check_provider(name, provider, environment)
    for name, agent in settings.agents.items():
        if sum(map(bool, (agent.provider, agent.python, agent.url))) != 1:
            raise SettingsError(
                f"unable to use the agent `{name}`; it must have one of `provider`, `python` and "
                "`url`"
            )
        if agent.steer_url and not agent.url:
            raise SettingsError(
                f"unable to use the setting `agents.{name}.steer_url`; the agent has no `url`"
            )
        if agent.url:
            _check_backend(name, agent, environment)
        if not agent.provider:
            continue
        if not agent.model:
            raise SettingsError(f"unable to use the agent `{name}`; set its `model`")
        if agent.provider not in {*settings.providers, *KINDS, *simulators()}:
            raise SettingsError(
                f"unable to use the setting `agents.{name}.provider`; there is no "
                f"`[providers.{agent.provider}]`"
            )
        if agent.provider in KINDS and agent.provider not in settings.providers:
            _check_provider(agent.provider, ProviderSettings(), environment)


def _check_provider(name: str, provider: ProviderSettings, environment: Mapping[str, str]) -> None:
    kind = KINDS.get(kind_name(name, provider))
    if kind is None:
        raise SettingsError(
            f"unable to use the setting `providers.{name}.kind`; it must be one of "
            f"{', '.join(KINDS)}"
        )
    if kind.check is not None:
        kind.check(name, provider, environment)


def _check_backend(name: str, agent: AgentSettings, environment: Mapping[str, str]) -> None:
    """Check the address and the headers of an agent with a `url`."""
    for setting in ("url", "steer_url") if agent.steer_url else ("url",):
        if not is_http_url(getattr(agent, setting)):
            raise SettingsError(
                f"unable to use the setting `agents.{name}.{setting}`; it must begin with http:// "
                "or https:// and name a host"
            )
    for setting in ("forward_headers", "secret_headers"):
        for header in getattr(agent, setting):
            if not _HEADER.fullmatch(header) or header.lower() in _OWN_HEADERS:
                raise SettingsError(
                    f"unable to use the setting `agents.{name}.{setting}`; {header!r} is no "
                    "header that can be passed on"
                )
    for header, variable in agent.secret_headers.items():
        value = environment.get(variable, "")
        if not value.strip() or not value.isprintable():
            problem = "has no value that a header can have" if value else "is not set"
            raise SettingsError(
                f"unable to use the setting `agents.{name}.secret_headers.{header}`; "
                f"{variable} {problem}"
            )
