"""Browsers: logging in and out, and what other sites cannot make them do."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from wichtel.app import App
from wichtel.server import Background, listen
from wichtel.settings import load_settings


class Place:
    """A service with only its API, of which nothing is carried out."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.app = App(load_settings({"home": folder, "roles": ("api",), **settings}))
        self.app.start(("api",))
        self.token = str(self.app.access.initialise())
        self.socket = listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"

    def browser(self, **headers: str) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, headers={"Origin": self.url, "Sec-Fetch-Site": "same-origin", **headers}, timeout=30)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("sessions"))
    with Background(made.app, made.socket):
        yield made
    made.app.stop()


@pytest.fixture
def browser(place: Place) -> Iterator[httpx2.Client]:
    with place.browser() as made:
        yield made


def log_in(place: Place, browser: httpx2.Client, token: str | None = None) -> str:
    answer = browser.post("/login", json={"token": token or place.token})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["csrf_token"])


def change(browser: httpx2.Client, csrf: str | None, name: str = "pages", **headers: str) -> httpx2.Response:
    return browser.put("/v1/teams", json={"name": name}, headers={**({"X-CSRF-Token": csrf} if csrf is not None else {}), **headers})


def test_a_login_keeps_a_cookie_that_scripts_and_other_sites_do_not_get(place: Place, browser: httpx2.Client) -> None:
    answer = browser.post("/login", json={"token": place.token})
    said = answer.headers["set-cookie"].lower()
    assert said.startswith("wichtel_session=")
    assert "httponly" in said
    assert "samesite=lax" in said
    assert "path=/" in said
    # Over plain HTTP a browser would not send it back otherwise.
    assert "secure" not in said
    me = browser.get("/v1/me").json()
    assert (me["name"], me["role"], me["session"]["csrf_token"]) == ("admin", "admin", answer.json()["csrf_token"])


def test_behind_https_the_cookie_is_sent_by_https_only(tmp_path: Path) -> None:
    place = Place(tmp_path, public_url="https://wichtel.example.org")
    headers = {"Origin": "https://wichtel.example.org"}
    with Background(place.app, place.socket), httpx2.Client(base_url=place.url, headers=headers) as browser:
        answer = browser.post("/login", json={"token": place.token})
        assert "secure" in answer.headers["set-cookie"].lower()
        # The address under which a proxy asks is not that of the pages.
        assert browser.post("/login", json={"token": place.token}, headers={"Origin": place.url}).status_code == 403
    place.app.stop()


def test_a_form_leads_to_the_page_that_was_wanted_and_never_to_another_site(place: Place, browser: httpx2.Client) -> None:
    for wanted, got in (("/experiments?q=1", "/experiments?q=1"), ("//evil.example", "/"), ("https://evil.example", "/"), ("/\\evil", "/")):
        answer = browser.post("/login", data={"token": place.token, "next": wanted})
        assert (answer.status_code, answer.headers["location"]) == (303, got)


def test_a_wrong_token_logs_nobody_in(place: Place, browser: httpx2.Client) -> None:
    assert browser.post("/login", json={"token": "wt_wrong"}).status_code == 401
    assert not browser.cookies
    assert browser.post("/login", data={"token": ""}).status_code == 422


@pytest.mark.parametrize("csrf", [None, "", "0" * 64, "é"])
def test_a_change_without_the_csrf_token_is_refused(place: Place, browser: httpx2.Client, csrf: str | None) -> None:
    log_in(place, browser)
    headers = [] if csrf is None else [(b"X-CSRF-Token", csrf.encode())]
    answer = browser.put("/v1/teams", json={"name": "pages"}, headers=headers)
    assert answer.status_code == 403
    assert "CSRF" in answer.json()["message"]
    assert browser.get("/v1/teams").status_code == 200


def test_a_change_with_it_is_made(place: Place, browser: httpx2.Client) -> None:
    csrf = log_in(place, browser)
    assert change(browser, csrf).status_code == 200
    # A browser may tell only one of the two.
    with place.browser() as older:
        older.headers.pop("sec-fetch-site")
        assert change(older, log_in(place, older)).status_code == 200


def test_the_csrf_token_of_another_session_is_refused(place: Place, browser: httpx2.Client) -> None:
    log_in(place, browser)
    with place.browser() as other:
        foreign = log_in(place, other)
    assert change(browser, foreign).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
def test_a_change_from_another_site_is_refused_whatever_it_knows(place: Place, browser: httpx2.Client, headers: dict[str, str]) -> None:
    csrf = log_in(place, browser)
    assert change(browser, csrf, **headers).status_code == 403
    assert browser.post("/login", json={"token": place.token}, headers=headers).status_code == 403


def test_a_change_that_tells_no_site_is_refused(place: Place, browser: httpx2.Client) -> None:
    csrf = log_in(place, browser)
    for name in ("origin", "sec-fetch-site"):
        browser.headers.pop(name)
    assert change(browser, csrf).status_code == 403


def test_a_request_with_a_token_needs_none_of_it(place: Place) -> None:
    with httpx2.Client(base_url=place.url, headers={"Authorization": f"Bearer {place.token}"}) as script:
        assert script.put("/v1/teams", json={"name": "scripts"}).status_code == 200


def test_the_cookie_changes_with_each_login_and_the_former_session_is_over(place: Place, browser: httpx2.Client) -> None:
    log_in(place, browser)
    former = browser.cookies["wichtel_session"]
    log_in(place, browser)
    assert browser.cookies["wichtel_session"] != former
    with place.browser() as thief:
        thief.cookies.set("wichtel_session", former)
        assert thief.get("/v1/me").status_code == 401


def test_a_cookie_that_somebody_else_planted_does_not_become_a_session(place: Place, browser: httpx2.Client) -> None:
    browser.cookies.set("wichtel_session", "planted")
    browser.post("/login", json={"token": place.token})
    with place.browser() as planter:
        planter.cookies.set("wichtel_session", "planted")
        assert planter.get("/v1/me").status_code == 401


@pytest.mark.parametrize("cookie", ["forged", "' OR 1=1 --", "x" * 4000])
def test_a_forged_cookie_is_refused(place: Place, browser: httpx2.Client, cookie: str) -> None:
    assert browser.get("/v1/me", headers={"Cookie": f"wichtel_session={cookie}"}).status_code == 401


def test_a_logout_ends_the_session_and_takes_the_csrf_token(place: Place, browser: httpx2.Client) -> None:
    csrf = log_in(place, browser)
    kept = browser.cookies["wichtel_session"]
    assert browser.post("/logout").status_code == 403
    assert browser.get("/v1/me").status_code == 200
    assert browser.post("/logout", data={"csrf_token": csrf}).status_code == 303
    assert not browser.cookies
    assert browser.get("/v1/me", headers={"Cookie": f"wichtel_session={kept}"}).status_code == 401


def test_a_session_can_no_more_than_the_token_it_was_made_with_and_ends_with_it(place: Place, browser: httpx2.Client) -> None:
    admin = place.app.access.authenticate(place.token)
    made = place.app.access.make_token(admin, scopes=["read"])
    csrf = log_in(place, browser, made.token)
    assert change(browser, csrf).status_code == 403
    assert browser.get("/v1/me").json()["scopes"] == ["read"]
    place.app.access.revoke_token(made.id, admin)
    assert browser.get("/v1/me").status_code == 401


def test_whoever_is_disabled_is_out_at_once(place: Place, browser: httpx2.Client) -> None:
    admin = place.app.access.authenticate(place.token)
    log_in(place, browser, place.app.access.create_token(admin, "gone", role="editor"))
    assert browser.get("/v1/me").json()["name"] == "gone"
    place.app.principals.disable("gone", admin)
    assert browser.get("/v1/me").status_code == 401


def test_a_session_is_over_when_it_idles_and_after_its_lifetime(tmp_path: Path) -> None:
    from wichtel.experiments import Access, Sessions
    from wichtel.experiments.access import digest
    from wichtel.store import Database

    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    db = Database.open(f"sqlite:///{tmp_path}/w.db", upgrade=True, clock=lambda: now[0])
    token = str(Access(db).initialise())
    sessions = Sessions(db, idle=timedelta(hours=1), lifetime=timedelta(hours=3))
    idle, used = sessions.log_in(token), sessions.log_in(token)
    for minutes in range(20, 180, 20):
        now[0] = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
        assert sessions.find(used) is not None, minutes
        # That it was used is noted in the background.
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with db.read() as tx:
                session = tx.sessions.find(digest(used))
            if session is not None and session.seen == now[0]:
                break
            time.sleep(0.01)
        if minutes == 60:
            assert sessions.find(idle) is None
    now[0] += timedelta(minutes=20)
    assert sessions.find(used) is None
    sessions.close()
    db.close()


def test_only_hashes_are_stored(place: Place, browser: httpx2.Client) -> None:
    csrf = log_in(place, browser)
    cookie = browser.cookies["wichtel_session"]
    stored = b"".join(path.read_bytes() for path in place.app.settings.home.glob("wichtel.db*"))
    for secret in (place.token, cookie, csrf):
        assert secret.encode() not in stored


def test_logins_that_keep_failing_are_slowed_down(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with Background(place.app, place.socket), place.browser() as browser:
        assert {browser.post("/login", json={"token": f"wt_{i}"}).status_code for i in range(300)} == {401, 429}
    place.app.stop()


def test_no_secret_is_in_the_log_nor_in_the_audit_log(tmp_path: Path) -> None:
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            # The browser's own connections say what they were sent.
            if not record.name.startswith(("httpcore2", "httpx2")):
                lines.append(self.format(record))

    handler, root = Keep(logging.DEBUG), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        place = Place(tmp_path, oidc_issuer="http://127.0.0.1:9", oidc_client_secret="an-oidc-secret")
        with Background(place.app, place.socket), place.browser() as browser:
            csrf = log_in(place, browser)
            cookie = browser.cookies["wichtel_session"]
            made = browser.post("/v1/tokens", json={"label": "mine"}, headers={"X-CSRF-Token": csrf}).json()
            # Somebody pastes a whole token where an id belongs; tries one that is wrong; logs in elsewhere; goes.
            assert browser.delete(f"/v1/tokens/{made['token']}", headers={"X-CSRF-Token": csrf}).status_code == 404
            assert browser.delete(f"/v1/tokens/{made['token']}").status_code == 403
            wrong = "wt_0123456789_" + "w" * 43
            assert browser.get("/v1/me", headers={"Authorization": f"Bearer {wrong}"}).status_code == 401
            assert browser.post("/login", json={"token": wrong}).status_code == 401
            assert browser.get("/login/oidc").status_code in (500, 503)
            assert browser.post("/logout", data={"csrf_token": csrf}).status_code == 303
        with place.app.db.read() as tx:
            entries = tx.audit.list(limit=1000)
        place.app.stop()
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    assert {"log_in", "create_token", "log_out"} <= {entry.action for entry in entries}
    assert {"authenticate", "tokens_revoke"} & {entry.action for entry in entries if entry.outcome == "denied"}
    assert any("/v1/tokens" in line or "tokens" in line for line in lines)
    told = "\n".join([*lines, *map(repr, entries)])
    for secret in (place.token, cookie, csrf, made["token"], wrong, "an-oidc-secret"):
        assert secret not in told
