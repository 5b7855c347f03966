"""Login by an identity provider: a small but real one, over HTTP, with real keys."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from wichtel.app import App
from wichtel.domain import Unavailable
from wichtel.server import Background, listen
from wichtel.server.oidc import Provider, roles_of
from wichtel.settings import load_settings

SECRET = "s3cret/with:odd characters"


class Idp:
    """Discovery, keys, the page that asks who one is (it does not ask), and the tokens."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "k-1", "use": "sig"})
        #: What the next person is.
        self.person: dict[str, Any] = {}
        #: What it does to the claims, and how it signs them, when a test wants it to go wrong.
        self.twist: Callable[[dict[str, Any]], None] = lambda claims: None
        self.sign: Callable[[dict[str, Any]], str] = lambda claims: jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)
        self.codes: dict[str, dict[str, str]] = {}
        idp = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def _say(self, value: Any, status: int = 200, **headers: str) -> None:
                body = json.dumps(value).encode()
                self.send_response(status)
                for name, text in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, text)
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                place = urlsplit(self.path)
                asked = {name: values[0] for name, values in parse_qs(place.query).items()}
                if place.path == "/.well-known/openid-configuration":
                    parts = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
                    self._say({"issuer": idp.url, **{name: f"{idp.url}/{path}" for name, path in parts.items()}})
                elif place.path == "/keys":
                    self._say({"keys": [idp.key.as_dict(private=False)]})
                else:
                    assert (asked["response_type"], asked["client_id"], asked["code_challenge_method"]) == ("code", "wichtel", "S256")
                    code = f"code-{len(idp.codes)}"
                    idp.codes[code] = asked
                    back = urlencode({"code": code, "state": asked["state"], "iss": idp.url})
                    self._say({}, 303, Location=f"{asked['redirect_uri']}?{back}")

            def do_POST(self) -> None:
                form = {n: v[0] for n, v in parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()).items()}
                asked = idp.codes.pop(form["code"], None)
                challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode().rstrip("=")
                basic = base64.b64encode(b"wichtel:s3cret%2Fwith%3Aodd%20characters").decode()
                if (
                    asked is None
                    or self.headers["Authorization"] != f"Basic {basic}"
                    or (challenge, form["redirect_uri"]) != (asked["code_challenge"], asked["redirect_uri"])
                ):
                    self._say({"error": "invalid_grant"}, 400)
                    return
                now = int(time.time())
                claims = {"iss": idp.url, "aud": "wichtel", "iat": now, "exp": now + 300, "nonce": asked["nonce"], **idp.person}
                idp.twist(claims)
                self._say({"access_token": "unused", "token_type": "Bearer", "id_token": idp.sign(claims)})

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


ANA = {"sub": "1", "preferred_username": "ana@example.org", "groups": ["ml"], "email": "ana@example.org", "email_verified": True}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Idp, App, str]]:
    idp = Idp()
    settings = {
        "home": tmp_path_factory.mktemp("oidc"),
        "oidc_issuer": idp.url,
        "oidc_client_secret": SECRET,
        "oidc_teams": "ml=ads:editor,maps=maps:viewer,ops=admin",
    }
    app = App(load_settings(settings))
    app.start(("api",))
    app.access.initialise()
    socket = listen("127.0.0.1", 0)
    with Background(app, socket):
        yield idp, app, f"http://127.0.0.1:{socket.getsockname()[1]}"
    app.stop()
    idp.server.shutdown()
    idp.server.server_close()


@pytest.fixture
def idp(place: tuple[Idp, App, str]) -> Idp:
    idp = place[0]
    idp.person = dict(ANA)
    idp.twist = lambda claims: None
    idp.sign = lambda claims: jwt.encode({"alg": "RS256", "kid": idp.key.kid}, claims, idp.key)
    return idp


@pytest.fixture
def browser(place: tuple[Idp, App, str]) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=place[2], timeout=60) as made:
        yield made


def go(browser: httpx2.Client, begin: str = "/login/oidc") -> httpx2.Response:
    """To the provider and back."""
    there = browser.get(begin)
    assert there.status_code == 303, there.text
    back = httpx2.get(there.headers["location"])
    return browser.get(back.headers["location"])


def test_whoever_the_provider_vouches_for_is_logged_in_with_the_roles_of_their_groups(
    idp: Idp, browser: httpx2.Client, place: tuple[Idp, App, str]
) -> None:
    idp.person["groups"] = ["other", "maps", "ml"]
    answer = go(browser, "/login/oidc?next=/docs")
    assert (answer.status_code, answer.headers["location"]) == (303, "/docs")
    me = browser.get("/v1/me").json()
    assert (me["name"], me["team"], me["role"], me["teams"]) == ("ana", "ads", "editor", {"ads": "editor", "maps": "viewer"})
    assert me["email"] == "ana@example.org"
    assert me["session"]["csrf_token"]
    # At the next login the roles are those of that time.
    idp.person["groups"] = ["ops"]
    go(browser)
    assert browser.get("/v1/me").json()["role"] == "admin"
    idp.person["groups"] = ["ml"]
    go(browser)
    assert browser.get("/v1/me").json()["teams"] == {"ads": "editor"}


def _other_key(idp: Idp) -> Callable[[dict[str, Any]], str]:
    wrong = RSAKey.generate_key(2048, {"kid": "k-1"})
    return lambda claims: jwt.encode({"alg": "RS256", "kid": "k-1"}, claims, wrong)


def _part(value: Any) -> str:
    return _text(json.dumps(value).encode())


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _public_key_as_secret(idp: Idp) -> Callable[[dict[str, Any]], str]:
    def sign(claims: dict[str, Any]) -> str:
        said = f"{_part({'alg': 'HS256', 'kid': 'k-1'})}.{_part(claims)}"
        return f"{said}.{_text(hmac.digest(idp.key.as_pem(private=False), said.encode(), 'sha256'))}"

    return sign


def _unsigned(idp: Idp) -> Callable[[dict[str, Any]], str]:
    return lambda claims: f"{_part({'alg': 'none', 'kid': 'k-1'})}.{_part(claims)}."


@pytest.mark.parametrize("signer", [_other_key, _public_key_as_secret, _unsigned])
def test_a_token_that_the_provider_did_not_sign_is_refused(idp: Idp, browser: httpx2.Client, signer: Any) -> None:
    idp.sign = signer(idp)
    assert go(browser).status_code == 401
    assert browser.get("/v1/me").status_code == 401


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"aud": "another"},
        {"aud": ["wichtel", "another"]},
        {"aud": ["wichtel", "another"], "azp": "another"},
        {"iss": "http://127.0.0.1:1"},
        {"exp": int(time.time()) - 3600},
        {"sub": None},
    ],
)
def test_a_token_that_is_not_for_this_login_is_refused(idp: Idp, browser: httpx2.Client, claims: dict[str, Any]) -> None:
    idp.twist = lambda made: [made.pop(n) if v is None else made.update({n: v}) for n, v in claims.items()] and None
    assert go(browser).status_code == 401
    assert browser.get("/v1/me").status_code == 401


def test_an_answer_that_this_browser_did_not_ask_for_is_refused(idp: Idp, browser: httpx2.Client, place: tuple[Idp, App, str]) -> None:
    there = browser.get("/login/oidc").headers["location"]
    back = httpx2.get(there).headers["location"]
    # A stranger's answer, in a browser that asked for none, or for another.
    with httpx2.Client(base_url=place[2]) as victim:
        assert victim.get(back).status_code == 401
        victim.get("/login/oidc")
        assert victim.get(back).status_code == 401
    assert browser.get(back).status_code == 303
    # And no answer twice: the provider takes each code once, and the cookie is gone.
    assert browser.get(back).status_code == 401


def test_whoever_is_in_no_group_of_ours_is_turned_away(idp: Idp, browser: httpx2.Client) -> None:
    idp.person |= {"sub": "9", "preferred_username": "zoe", "groups": ["other"]}
    answer = go(browser)
    assert answer.status_code == 401
    assert "in no group" in answer.json()["message"]


def test_a_name_that_somebody_has_is_not_handed_over(idp: Idp, browser: httpx2.Client) -> None:
    idp.person |= {"sub": "666", "preferred_username": "admin"}
    answer = go(browser)
    assert answer.status_code == 409
    assert browser.get("/v1/me").status_code == 401


def test_whoever_is_disabled_stays_out(idp: Idp, browser: httpx2.Client, place: tuple[Idp, App, str]) -> None:
    from wichtel.experiments import Principal, Role

    idp.person |= {"sub": "7", "preferred_username": "eve"}
    assert go(browser).status_code == 303
    place[1].principals.disable("eve", Principal(name="admin", team="default", role=Role.ADMIN))
    assert browser.get("/v1/me").status_code == 401
    assert go(browser).status_code == 401


def test_new_keys_of_the_provider_are_asked_for(idp: Idp, browser: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wichtel.server.oidc._ASK_AGAIN_SECONDS", 0.0)
    assert go(browser).status_code == 303
    idp.key = RSAKey.generate_key(2048, {"kid": "k-2", "use": "sig"})
    assert go(browser).status_code == 303


def test_a_provider_that_is_away_is_no_fault_of_the_service() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        issuer = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(Unavailable, match="does not answer"):
        Provider(issuer, "wichtel", None, "openid").begin("http://service/login/oidc/callback")


def test_the_higher_of_two_roles_in_a_team_counts() -> None:
    teams = {"a": "ads:viewer", "b": "ads:approver", "c": "admin"}
    assert roles_of(["a", "b"], teams, None) == {"ads": "approver"}
    assert roles_of(["c", "a"], teams, None) == {"ads": "admin"}
    assert roles_of(["c"], teams, "maps:viewer") == {"maps": "admin"}
    assert roles_of(["x"], teams, "maps:viewer") == {"maps": "viewer"}
    assert roles_of("not a list", teams, None) == {}
