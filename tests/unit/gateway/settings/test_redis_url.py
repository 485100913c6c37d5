"""What a URL of Redis means, and what is said of one that means nothing."""

from __future__ import annotations

import pytest

from midstream.errors import SettingsError
from midstream.settings.redis_url import (
    Address,
    ClusterUrl,
    Credentials,
    RedisUrl,
    SentinelUrl,
    SingleUrl,
    parse_redis_url,
)
from midstream.settings.source import load_settings

ROWS: list[tuple[str, RedisUrl]] = [
    ("redis://a", SingleUrl("redis://a")),
    ("rediss://u:p@a:1/3?ssl_ca_certs=x", SingleUrl("rediss://u:p@a:1/3?ssl_ca_certs=x")),
    ("unix:///run/redis.sock", SingleUrl("unix:///run/redis.sock")),
    ("redis+cluster://a", ClusterUrl(seeds=(Address("a", 6379),))),
    (
        "redis+cluster://a:7000,b,[::1]:7002/0",
        ClusterUrl(seeds=(Address("a", 7000), Address("b", 6379), Address("::1", 7002))),
    ),
    (
        "rediss+cluster://ms:p%40ss%2Cword@a:1,a:1,b:2?ssl_ca_certs=/ca%20of%20ours.pem",
        ClusterUrl(
            seeds=(Address("a", 1), Address("b", 2)),
            credentials=Credentials("ms", "p@ss,word"),
            tls=True,
            ca_certs="/ca of ours.pem",
        ),
    ),
    (
        "redis+cluster://:secret@a",
        ClusterUrl(seeds=(Address("a", 6379),), credentials=Credentials("", "secret")),
    ),
    (
        "redis+sentinel://s1,s2:26380/mine",
        SentinelUrl(sentinels=(Address("s1", 26_379), Address("s2", 26_380)), name="mine"),
    ),
    (
        "rediss+sentinel://ms:pw@s1/mine?sentinel_username=w&sentinel_password=x%26y"
        "&ssl_ca_certs=/ca.pem",
        SentinelUrl(
            sentinels=(Address("s1", 26_379),),
            name="mine",
            credentials=Credentials("ms", "pw"),
            sentinel_credentials=Credentials("w", "x&y"),
            tls=True,
            ca_certs="/ca.pem",
        ),
    ),
]


def test_each_form_is_read(subtests: pytest.Subtests) -> None:
    for text, meaning in ROWS:
        with subtests.test(text):
            assert parse_redis_url(text) == meaning


WRONG = {
    "http://a": "must begin with redis://",
    "redis:a": "must begin with redis://",
    "redis+proxy://a": "must begin with redis://",
    "unix+cluster://a": "must begin with redis://",
    "redis+cluster://": "no host and port",
    "redis+cluster://a,,b": "no host and port",
    "redis+cluster://a:0": "no host and port",
    "redis+cluster://a:seven": "no host and port",
    "redis+cluster://a:99999": "no host and port",
    "redis+cluster://a/3": "database 0",
    "redis+cluster://a?db=3": "db is no parameter",
    "redis+cluster://a?ssl_ca_certs=/ca.pem": "write rediss+",
    "redis+sentinel://a/mine?ssl_ca_certs=/ca.pem": "write rediss+",
    "redis+sentinel://a": "must end with the name",
    "redis+sentinel://a/": "must end with the name",
    "redis+sentinel://a/two words": "must end with the name",
    "redis+sentinel://a/mine?sentinel_user=w": "sentinel_user is no parameter",
}


def test_wrong_one_is_refused_with_what_to_write(subtests: pytest.Subtests) -> None:
    for text, words in WRONG.items():
        with subtests.test(text), pytest.raises(SettingsError) as refused:
            parse_redis_url(text)
        assert words in refused.value.message
        assert "`redis.url`" in refused.value.message


def test_refusal_names_no_password() -> None:
    for url in ("redis+cluster://ms:a-secret@a,b:x", "redis+cluster://ms:a-secret/or?two@a"):
        with pytest.raises(SettingsError) as refused:
            parse_redis_url(url)
        assert "a-secret" not in refused.value.message


@pytest.mark.parametrize("url", ["redis+cluster://a:7000,b", "redis+sentinel://a,b/mine"])
def test_several_servers_are_taken_as_they_are_written(url: str) -> None:
    """A mistake in the URL is told at the start."""
    assert load_settings(environment={"REDIS_URL": url}).redis.url == url
    with pytest.raises(SettingsError, match="no host and port"):
        load_settings(environment={"REDIS_URL": "redis+cluster://a:seven"})
