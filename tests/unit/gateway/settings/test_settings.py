"""Settings: where they come from, which wins, and the sentence for each that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from midstream.errors import SettingsError
from midstream.settings.docs import settings_markdown
from midstream.settings.sections import SECTIONS, Settings, environment_name
from midstream.settings.source import load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

REPOSITORY = Path(__file__).resolve().parents[4]
SECRET = "x" * 32
AZURE = '[providers.azure-chat]\nresource = "mine"\n'
BACKEND = '[agents.a]\nurl = "https://x.example/api/chat"\n'
EVERYWHERE = "0.0.0.0"  # noqa: S104


def load(
    environment: Mapping[str, str] | None = None, file: Path | None = None, **overrides: Any
) -> Settings:
    return load_settings(file, environment or {}, overrides)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No midstream.toml of the working directory is read by accident."""
    monkeypatch.chdir(tmp_path)


def write(text: str, name: str = "midstream.toml") -> Path:
    path = Path(name)
    path.write_text(text)
    return path


def test_gateway_needs_no_settings() -> None:
    """One command, no file, no keys: everything has a default that works, on loopback."""
    settings = load()
    assert settings == Settings()
    assert settings.server.host == "127.0.0.1"


def test_file_of_the_working_directory_is_read() -> None:
    """A `midstream.toml` needs no option."""
    write("[server]\nport = 9000\n")
    assert load().server.port == 9000


def test_later_sources_win() -> None:
    """Command line, then environment, then file, then default."""
    path = write("[server]\nport = 1\nworkers = 1\n[runs]\nlease_s = 9\n", "other.toml")
    environment = {"MIDSTREAM_SERVER_PORT": "2", "MIDSTREAM_SERVER_WORKERS": "2"}
    settings = load(environment, path, server={"port": 3})
    assert (settings.server.port, settings.server.workers) == (3, 2)
    assert settings.runs.lease_s == 9
    assert settings.runs.renew_interval_s == 2.5


def test_redis_url_is_read_from_its_usual_variable() -> None:
    """Ours wins over the general one."""
    assert load({"REDIS_URL": "redis://a"}).redis.url == "redis://a"
    both = {"REDIS_URL": "redis://a", "MIDSTREAM_REDIS_URL": "redis://b"}
    assert load(both).redis.url == "redis://b"


@pytest.mark.parametrize(
    ("name", "text", "section", "field", "value"),
    [
        ("MIDSTREAM_SERVER_DEMO", "true", "server", "demo", True),
        ("MIDSTREAM_SERVER_DRAIN_LIMIT_S", "0.5", "server", "drain_limit_s", 0.5),
        (
            "MIDSTREAM_SERVER_CORS_ORIGINS",
            "https://a.example, https://b.example",
            "server",
            "cors_origins",
            ("https://a.example", "https://b.example"),
        ),
        ("MIDSTREAM_SERVER_CORS_ORIGINS", "", "server", "cors_origins", ()),
        ("MIDSTREAM_REDIS_KEY_PREFIX", "two", "redis", "key_prefix", "two"),
    ],
)
def test_environment_is_converted_to_the_settings_type(
    name: str, text: str, section: str, field: str, value: object
) -> None:
    """Numbers, truth values and lists are written as text."""
    assert getattr(getattr(load({name: text}), section), field) == value


def test_every_setting_of_a_section_has_a_variable_of_its_own() -> None:
    """No two settings share a name in the environment."""
    names = [
        environment_name(section, field.name)
        for section, struct in SECTIONS.items()
        for field in msgspec.structs.fields(struct)
    ]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[server]\nprot = 1\n", "prot"),
        ("[server]\nport = 99999\n", "server.port"),
        ('[server]\nport = "80"\n', "server.port"),
        ("[server]\nheartbeat_interval_s = 0\n", "server.heartbeat_interval_s"),
        ("[servers]\n", "servers"),
        ("server = 3\n", "server"),
        ('[redis]\nappendfsync = "sometimes"\n', "redis.appendfsync"),
        ('[redis]\nkey_prefix = "{x}"\n', "redis.key_prefix"),
        ('[redis]\nurl = "http://x"\n', "redis.url"),
        ("[runs]\nlease_s = 2\n", "runs.renew_interval_s"),
        ('[connections]\ntrusted_proxies = ["10.0.0.1/8"]\n', "connections.trusted_proxies"),
        ("[connections]\nmax_connections = 0\n", "connections.max_connections"),
        ('[auth]\nmode = "basic"\n', "auth.mode"),
        ('[providers.openai]\nproxy_key = "gateway"\n', "providers.openai.proxy_key"),
        (BACKEND + 'forward_headers = ["X-Midstream-Key"]\n', "agents.a.forward_headers"),
        ('[auth]\nmode = "jwt"\n', "MIDSTREAM_AUTH_SECRET"),
        ('[auth]\nmode = "jwt"\njwks = "http://id.example/keys"\n', "auth.jwks"),
        ("[agents.a]\n", "agent `a`"),
        ('[agents.a]\nprovider = "anthropic"\n', "agent `a`"),
        ('[agents.a]\nprovider = "x"\nmodel = "m"\n', "agents.a.provider"),
        ('[agents.a]\nprovider = "openai"\npython = "a:b"\n', "agent `a`"),
        ('[agents.a]\nmodle = "m"\n', "agents.a"),
        ("[agents]\na = 3\n", "agents.a"),
        ('[agents.a]\nurl = "http://x.example"\npython = "a:b"\n', "agent `a`"),
        ('[agents.a]\nurl = "ftp://x.example"\n', "agents.a.url"),
        ('[agents.a]\nurl = "/api/chat"\n', "agents.a.url"),
        (BACKEND + 'steer_url = "/api/steer"\n', "agents.a.steer_url"),
        ('[agents.a]\npython = "a:b"\nsteer_url = "https://x.example"\n', "agents.a.steer_url"),
        ('[agents.a]\nurl = "https:///api"\n', "agents.a.url"),
        ('[agents.a]\nurl = "https://x.example:port/"\n', "agents.a.url"),
        (BACKEND + 'forward_headers = ["Host"]\n', "agents.a.forward_headers"),
        (BACKEND + 'forward_headers = ["x y"]\n', "agents.a.forward_headers"),
        (BACKEND + 'secret_headers = { "te" = "V" }\n', "agents.a.secret_headers"),
        (BACKEND + 'secret_headers = { "x-key" = "ABSENT" }\n', "ABSENT is not set"),
        (BACKEND + "max_answer_bytes = 3\n", "agents.a.max_answer_bytes"),
        ("[providers.mine]\n", "providers.mine.kind"),
        ('[providers.mine]\nkind = "azure"\n', "its `resource`"),
        ('[providers.mine]\nkind = "azure"\nbase_url = "x"\n', "providers.mine.base_url"),
        (AZURE + "compatible = true\n", "providers.azure-chat.compatible"),
        ("[agent_keys.worker]\n", "key_env"),
        ('[agent_keys.worker]\nkey_env = "WORKER_KEY"\n', "WORKER_KEY"),
        ('[agent_keys.worker]\nkey_env = "WORKER_KEY"\nusers = "some"\n', "worker.users"),
        ("[server\n", "midstream.toml"),
    ],
)
def test_wrong_file_is_refused_with_one_sentence_that_names_the_setting(
    text: str, named: str
) -> None:
    """One line, no traceback: the mistake, and the allowed values."""
    write(text)
    with pytest.raises(SettingsError) as refused:
        load()
    assert refused.value.message.startswith("unable to ")
    assert named in refused.value.message
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"MIDSTREAM_SERVER_PORT": "http"}, "MIDSTREAM_SERVER_PORT"),
        ({"MIDSTREAM_SERVER_PROT": "1"}, "did you mean MIDSTREAM_SERVER_PORT"),
        ({"MIDSTREAM_NONSENSE_OF_MINE": "1"}, "midstream settings"),
        ({"MIDSTREAM_AUTH_MODE": "jwt", "MIDSTREAM_AUTH_SECRET": "short"}, "32 bytes"),
        ({"MIDSTREAM_SERVER_HOST": EVERYWHERE}, "--insecure"),
    ],
)
def test_wrong_environment_is_refused_with_one_sentence(
    environment: dict[str, str], named: str
) -> None:
    """A misspelt variable is no silent default."""
    with pytest.raises(SettingsError) as refused:
        load(environment)
    assert named in refused.value.message


@pytest.mark.parametrize("key", ["fifteen-letters", "sixteen letters x", "sixteen-l\u00e9tters"])
def test_agent_key_that_is_weak_or_fits_no_header_is_refused(key: str) -> None:
    """Short, with blanks, or with characters that a header cannot have; it is not repeated."""
    write('[agent_keys.worker]\nkey_env = "WORKER_KEY"\n')
    assert load({"WORKER_KEY": "sixteen-letters!"}).agent_keys["worker"].key_env == "WORKER_KEY"
    with pytest.raises(SettingsError, match="WORKER_KEY") as refused:
        load({"WORKER_KEY": key})
    assert key not in refused.value.message


def test_missing_file_is_refused_if_it_was_asked_for() -> None:
    """Only the default file may be missing."""
    with pytest.raises(SettingsError, match=r"gone\.toml"):
        load(file=Path("gone.toml"))


@pytest.mark.parametrize(
    "environment",
    [
        {"MIDSTREAM_SERVER_INSECURE": "true"},
        {"MIDSTREAM_AUTH_MODE": "jwt", "MIDSTREAM_AUTH_SECRET": SECRET},
    ],
)
def test_other_addresses_than_loopback_need_auth_or_a_word(environment: dict[str, str]) -> None:
    """A gateway is not exposed to the whole network by accident."""
    host = {"MIDSTREAM_SERVER_HOST": EVERYWHERE}
    assert load({**environment, **host}).server.host == EVERYWHERE


def test_secrets_are_not_in_the_settings() -> None:
    """Settings are passed to workers and may be shown; what they name is read where it is used."""
    environment = {"MIDSTREAM_AUTH_MODE": "jwt", "MIDSTREAM_AUTH_SECRET": SECRET}
    assert SECRET not in repr(load(environment))
    assert SECRET.encode() not in msgspec.json.encode(load(environment))


def test_settings_page_is_what_the_code_says() -> None:
    """docs/settings.md is the output of `midstream settings`."""
    assert (REPOSITORY / "docs/settings.md").read_text() == settings_markdown()


def test_every_setting_is_explained() -> None:
    """No row of the page is without words."""
    rows = [line for line in settings_markdown().split("\n") if line.startswith("| `")]
    assert len(rows) > 50
    assert all(row.rstrip("| ").count("|") >= 3 for row in rows)


def test_example_file_is_valid() -> None:
    """A copy of the example works unchanged."""
    example = REPOSITORY / "midstream.example.toml"
    environment = {"MIDSTREAM_AUTH_SECRET": SECRET}
    assert load(environment, example).agents


@pytest.mark.parametrize("value", [" ", "a\nb", "a\r\nx-admin: 1"])
def test_secret_header_that_no_header_can_have_is_refused(value: str) -> None:
    """The sentence names the variable, and never its value."""
    write(BACKEND + 'secret_headers = { "authorization" = "BACKEND_TOKEN" }\n')
    with pytest.raises(SettingsError, match="BACKEND_TOKEN") as refused:
        load({"BACKEND_TOKEN": value})
    assert "admin" not in refused.value.message
    assert load({"BACKEND_TOKEN": "Bearer x"}).agents["a"].url


@pytest.mark.parametrize(
    ("auth", "tenant", "told"),
    [
        ("none", "acme", "auth.mode"),
        ("jwt", "x" * 129, "at most 128"),
        ("jwt", "/" * 43, "at most"),
    ],
)
def test_tenant_that_an_agent_key_cannot_have_is_refused(auth: str, tenant: str, told: str) -> None:
    """Without tokens there are no tenants; one that is too long could be nobody's."""
    write(
        f'[auth]\nmode = "{auth}"\n'
        f'[agent_keys.worker]\nkey_env = "WORKER_KEY"\ntenant = "{tenant}"\n'
    )
    with pytest.raises(SettingsError, match=r"agent_keys\.worker\.tenant") as refused:
        load({"WORKER_KEY": "sixteen-letters!", "MIDSTREAM_AUTH_SECRET": "x" * 32})
    assert told in refused.value.message
