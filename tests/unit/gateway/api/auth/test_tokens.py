"""Tokens: which are accepted, what they grant, and that they are seen nowhere."""

from __future__ import annotations

import hmac
import json
import logging
import time
from typing import TYPE_CHECKING, Any

import jwt
import jwt.utils
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from midstream.api.auth import tokens as auth
from midstream.api.auth.tokens import (
    Anonymous,
    JsonWebTokens,
    KeysUnavailableError,
    PublicKeys,
    SharedSecret,
    user_id,
)
from midstream.errors import SettingsError, UnauthorizedError
from midstream.ids import SessionId, check_id
from midstream.sessions.access import Caller, Role
from midstream.settings.sections import AuthSettings
from tests.unit.gateway.api.fakes import BODY, FakeSessions, make_app, request

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

SECRET = "a-secret-of-sixty-four-bytes-or-more-so-that-every-hash-is-content"  # noqa: S105
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())


def claims(**more: object) -> dict[str, Any]:
    return {"sub": "ada", "exp": int(time.time()) + 60} | more


def token(
    key: Any = SECRET, algorithm: str = "HS256", kid: str | None = None, **more: object
) -> str:
    headers = None if kid is None else {"kid": kid}
    wanted = {name: value for name, value in claims(**more).items() if value is not None}
    return jwt.encode(wanted, key, algorithm, headers=headers)


def with_secret(settings: AuthSettings | None = None) -> JsonWebTokens:
    return JsonWebTokens(settings or AuthSettings(mode="jwt"), SharedSecret(SECRET))


def write_jwks(path: Path, *keys: dict[str, Any]) -> str:
    path.write_text(json.dumps({"keys": keys}))
    return str(path)


def public(kid: str, key: Any) -> dict[str, Any]:
    algorithm = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid}


async def test_everybody_is_the_same_caller_without_authentication() -> None:
    """`none` is for loopback, or behind something that authenticates."""
    assert await Anonymous().identify("anything") == Caller()


async def test_token_grants_what_its_claims_say() -> None:
    """`sub` owns, `sessions` names others', `role` grants beyond, `exp` and the leeway end it."""
    exp, leeway_s = int(time.time()) + 60, AuthSettings().leeway_s
    caller = await with_secret().identify(token(sessions=["c1", "c2"], role="operator", exp=exp))
    assert caller == Caller(
        user=user_id("ada"),
        role=Role.OPERATOR,
        granted=frozenset({SessionId("c1"), SessionId("c2")}),
        expires_at=exp + leeway_s,
    )


@pytest.mark.parametrize(
    ("claim", "name"), [("Ann \u202e\n Lee", "Ann Lee"), (7, ""), (None, ""), ("x" * 70, "x" * 64)]
)
async def test_name_of_a_token_is_cleaned_and_never_a_reason_to_refuse_it(
    claim: object, name: str
) -> None:
    assert (await with_secret().identify(token(name=claim))).name == name


@pytest.mark.parametrize(
    ("claim", "tenant"),
    [
        ({}, ""),
        ({"tenant": ""}, ""),
        ({"tenant": "acme"}, "acme"),
        ({"tenant": "a b|c/*"}, "a=20b=7Cc=2F=2A"),
        ({"org": "other", "tenant": "acme"}, "acme"),
    ],
)
async def test_token_names_its_bearers_tenant(claim: dict[str, str], tenant: str) -> None:
    """Any text; without the claim, that of all tokens without it."""
    assert (await with_secret().identify(token(**claim))).tenant == tenant


async def test_tenant_is_in_the_claim_that_the_settings_name() -> None:
    """No other is looked at: a `tenant` of the issuer's may mean something else."""
    tokens = with_secret(AuthSettings(mode="jwt", tenant_claim="https://id.example/org"))
    caller = await tokens.identify(token(tenant=7, **{"https://id.example/org": "acme"}))
    assert caller.tenant == "acme"


@pytest.mark.parametrize("value", [7, True, ["acme"], {"id": "acme"}, "x" * 129])
async def test_tenant_that_is_no_short_text_is_refused_by_its_name(value: object) -> None:
    """It is not taken for none: that would be another tenant's."""
    with pytest.raises(UnauthorizedError, match="tenant") as refused:
        await with_secret().identify(token(tenant=value))
    assert "acme" not in refused.value.message


async def test_null_tenant_is_refused() -> None:
    """A claim that is there and says nothing is a mistake of the issuer's."""
    null = jwt.encode({**claims(), "tenant": None}, SECRET, "HS256")
    with pytest.raises(UnauthorizedError, match="`tenant` must be text"):
        await with_secret().identify(null)


REFUSED: dict[str, str | None] = {
    "absent": None,
    "empty": "",
    "no token": "not-a-token",
    "no base64": "a.b.c",
    "other secret": token("another-secret-of-thirty-two-bytes!"),
    "expired": token(exp=int(time.time()) - 60),
    "for ever": token(exp=None),
    "nobody": token(sub=None),
    "empty subject": token(sub=""),
    "long subject": token(sub="x" * 200),
    "subject of another type": token(sub=7),
    "not yet": token(nbf=int(time.time()) + 600),
    "unknown role": token(role="root"),
    "sessions of another type": token(sessions="c1"),
    "other algorithm": token(SECRET, "HS512"),
    "unsigned": jwt.encode(claims(), "", "none"),
    "other kind of key": token(RSA, "RS256"),
}


async def test_token_that_proves_nothing_is_refused(subtests: pytest.Subtests) -> None:
    """Unsigned, expired, for ever, of another key or algorithm, without or with odd claims."""
    for name, bad in REFUSED.items():
        with subtests.test(name), pytest.raises(UnauthorizedError):
            await with_secret().identify(bad)


@pytest.mark.parametrize(
    ("field", "claim"),
    [("audience", {"aud": "gateway"}), ("issuer", {"iss": "https://id.example"})],
)
async def test_token_for_or_of_somebody_else_is_refused(field: str, claim: dict[str, str]) -> None:
    """A configured audience or issuer is required, and no other will do."""
    (name, value) = next(iter(claim.items()))
    tokens = with_secret(AuthSettings(mode="jwt", **{field: value}))  # type: ignore[arg-type]
    await tokens.identify(token(**claim))
    for other in (token(), token(**{name: "somebody else"})):
        with pytest.raises(UnauthorizedError):
            await tokens.identify(other)


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (EC, "ES256")])
async def test_token_of_a_published_key_is_accepted(
    key: Any, algorithm: str, tmp_path: Path
) -> None:
    """By its key id; and without one, if there is only one key."""
    keys = PublicKeys(write_jwks(tmp_path / "jwks.json", public("k1", key)), 300)
    tokens = JsonWebTokens(AuthSettings(mode="jwt"), keys)
    await tokens.start()
    for kid in ("k1", None):
        assert (await tokens.identify(token(key, algorithm, kid))).user == "ada"


async def test_public_key_is_no_secret(tmp_path: Path) -> None:
    """A token that is signed with the public key's text as an HMAC secret is refused."""
    keys = PublicKeys(write_jwks(tmp_path / "jwks.json", public("k1", RSA)), 300)
    tokens = JsonWebTokens(AuthSettings(mode="jwt"), keys)
    await tokens.start()
    text = RSA.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    # By hand: PyJWT would not sign with it.
    head = jwt.utils.base64url_encode(b'{"alg":"HS256","typ":"JWT","kid":"k1"}')
    signed = head + b"." + jwt.utils.base64url_encode(json.dumps(claims()).encode())
    signature = jwt.utils.base64url_encode(hmac.digest(text, signed, "sha256"))
    with pytest.raises(UnauthorizedError):
        await tokens.identify((signed + b"." + signature).decode())


async def test_symmetric_key_in_a_jwks_is_passed_over(tmp_path: Path) -> None:
    """A published key cannot be a secret."""
    shared = {"kty": "oct", "kid": "k1", "k": "YS1zZWNyZXQtb2YtdGhpcnR5LXR3by1ieXRlcy1vci1tb3Jl"}
    keys = PublicKeys(write_jwks(tmp_path / "jwks.json", shared, public("k2", EC)), 300)
    tokens = JsonWebTokens(AuthSettings(mode="jwt"), keys)
    await tokens.start()
    with pytest.raises(UnauthorizedError):
        await tokens.identify(token(SECRET, "HS256", "k1"))


async def test_new_key_is_found_when_a_token_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown key id reads the keys again; within the cooldown it does not."""
    path = tmp_path / "jwks.json"
    keys = PublicKeys(write_jwks(path, public("k1", RSA)), 300)
    tokens = JsonWebTokens(AuthSettings(mode="jwt"), keys)
    await tokens.start()
    write_jwks(path, public("k1", RSA), public("k2", EC))
    with pytest.raises(UnauthorizedError):
        await tokens.identify(token(EC, "ES256", "k2"))
    monkeypatch.setattr(auth, "JWKS_COOLDOWN_S", 0.0)
    assert (await tokens.identify(token(EC, "ES256", "k2"))).user == "ada"


async def test_keys_at_hand_go_on_working_while_they_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An issuer that is away for a moment logs nobody out."""
    monkeypatch.setattr(auth, "JWKS_COOLDOWN_S", 0.0)
    path = tmp_path / "jwks.json"
    keys = PublicKeys(write_jwks(path, public("k1", RSA)), max_age_s=0.0)
    tokens = JsonWebTokens(AuthSettings(mode="jwt"), keys)
    await tokens.start()
    path.unlink()
    assert (await tokens.identify(token(RSA, "RS256", "k1"))).user == "ada"


@pytest.mark.parametrize("content", [None, "{", '{"keys": []}'])
async def test_key_file_that_holds_no_keys_is_a_wrong_setting(
    content: str | None, tmp_path: Path
) -> None:
    """Said at start, not with the first request."""
    path = tmp_path / "jwks.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=r"auth\.jwks"):
        await PublicKeys(str(path), 300).start()


async def test_issuer_that_is_away_is_a_failure_that_passes() -> None:
    """503, not 401: the caller did nothing wrong."""
    keys = PublicKeys("https://127.0.0.1:1/jwks.json", 300)
    tokens = JsonWebTokens(AuthSettings(mode="jwt"), keys)
    await tokens.start()
    with pytest.raises(KeysUnavailableError):
        await tokens.identify(token(RSA, "RS256", "k1"))


@given(st.lists(st.text(min_size=1, max_size=10), min_size=2, max_size=2, unique=True))
def test_subjects_become_ids_that_are_usable_and_differ(subjects: list[str]) -> None:
    """Any issuer's subject works, `auth0|7` too, and none can pose as another."""
    first, second = map(user_id, subjects)
    assert first != second
    assert first in {".", ".."} or check_id(first, "user id") == first


# -- where a token may be -------------------------------------------------------------------


PLACES: list[tuple[str, str, dict[str, str], int]] = [
    ("POST", "/api/chat", {"authorization": "Bearer {}"}, 200),
    ("POST", "/api/chat", {"authorization": "bearer {}"}, 200),
    ("POST", "/api/chat", {"cookie": "sid={}"}, 200),
    ("POST", "/api/chat", {"cookie": "other={}"}, 401),
    ("POST", "/api/chat", {"authorization": "Basic {}"}, 401),
    ("POST", "/api/chat?token={}", {}, 401),
    ("GET", "/api/chat/c1/stream?token={}", {}, 204),
    ("GET", "/api/chat/c1/stream", {}, 401),
    ("GET", "/api/chats", {}, 401),
    ("DELETE", "/api/chat/c1", {}, 401),
    ("GET", "/livez", {}, 200),
    ("GET", "/readyz", {}, 200),
]


async def test_token_is_taken_from_where_it_may_be(subtests: pytest.Subtests) -> None:
    """Header, cookie, and `?token=` where a browser can set no header; health needs none."""
    app = make_app(FakeSessions(), authenticator=with_secret(), cookie="sid")
    value = token()
    for method, target, headers, status in PLACES:
        with subtests.test(f"{method} {target} {headers}"):
            sent = {name: text.format(value) for name, text in headers.items()}
            body = BODY if method == "POST" else None
            answer = await request(app, method, target.format(value), body, sent)
            assert answer.status == status
            assert ("www-authenticate" in answer.headers) is (status == 401)


async def test_nothing_of_a_token_is_logged_or_sent_back(caplog: pytest.LogCaptureFixture) -> None:
    """Not when it is accepted, not when it is refused, and not when we fail."""
    caplog.set_level(logging.DEBUG)
    sessions = FakeSessions({"start": ValueError("broken")})
    app = make_app(sessions, authenticator=with_secret())
    for value in (token(), token("another-secret-of-thirty-two-bytes!"), "garbage7.part8.mine9"):
        headers = {"authorization": f"Bearer {value}"}
        answers = [
            await request(app, "POST", "/api/chat", BODY, headers),
            await request(app, "GET", f"/api/chat/c1/stream?token={value}"),
        ]
        for part in value.split("."):
            assert part not in caplog.text
            assert all(part.encode() not in answer.body for answer in answers)
    assert SECRET not in caplog.text
