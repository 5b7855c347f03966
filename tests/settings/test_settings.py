from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wichtel.domain import InvalidInput
from wichtel.settings import ROLES, Settings, load_settings


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv("WICHTEL_" + name.upper(), raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")


def user_says(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config" / "wichtel" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def origin_of(settings: Settings, name: str) -> str:
    return next(s.origin for s in settings.describe() if s.name == name)


def test_defaults_need_nothing_and_listen_on_loopback(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.host == "127.0.0.1"
    assert settings.home == tmp_path / "project" / ".wichtel"
    assert settings.database_url == f"sqlite:///{settings.home}/wichtel.db"
    assert settings.artifacts_url == f"{settings.home}/artifacts"
    assert settings.url == "http://127.0.0.1:8420"
    assert settings.roles == ROLES
    assert settings.workers >= 1
    assert {s.origin for s in settings.describe()} == {"default"}
    assert all(s.help for s in settings.describe())


def test_flag_beats_environment_beats_project_beats_user_beats_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = user_says(tmp_path, "port = 1\nworkers = 1\nexpire_days = 1\nlease_seconds = 1")
    project = Path("wichtel.toml")
    project.write_text("port = 2\nworkers = 2\nexpire_days = 2")
    monkeypatch.setenv("WICHTEL_PORT", "3")
    monkeypatch.setenv("WICHTEL_WORKERS", "3")
    settings = load_settings({"port": 4, "workers": None})
    assert (settings.port, settings.workers, settings.expire_days, settings.lease_seconds) == (4, 3, 2, 1)
    assert origin_of(settings, "port") == "flag"
    assert origin_of(settings, "workers") == "environment"
    assert origin_of(settings, "expire_days") == str(project.absolute())
    assert origin_of(settings, "lease_seconds") == str(user)
    assert origin_of(settings, "poll_seconds") == "default"


def test_derived_defaults_follow_what_they_derive_from(tmp_path: Path) -> None:
    settings = load_settings({"home": str(tmp_path / "elsewhere"), "port": 99})
    assert settings.database_url == f"sqlite:///{tmp_path}/elsewhere/wichtel.db"
    assert settings.url == "http://127.0.0.1:99"


def test_roles_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WICHTEL_ROLES", "api, controller")
    assert load_settings().roles == ("api", "controller")
    assert load_settings({"roles": "api,api"}).roles == ("api",)


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WICHTEL_TOKEN", "hush-1")
    addresses = {"database_url": "postgresql://me:hush-2@db/wichtel", "artifacts_url": "s3://key:hush-3@bucket/artifacts"}
    settings = load_settings(addresses)
    assert settings.token is not None
    assert settings.token.get_secret_value() == "hush-1"
    assert settings.database_url == "postgresql://me:hush-2@db/wichtel"
    assert "hush" not in repr(settings.describe())
    assert "postgresql://me:**********@db/wichtel" in repr(settings.describe())


@pytest.mark.parametrize("name", ["token", "smtp_url", "oidc_client_secret"])
def test_a_secret_that_does_not_do_is_not_repeated(name: str) -> None:
    with pytest.raises(InvalidInput, match="valid string") as refused:
        load_settings({name: 987654321})
    assert "987654321" not in str(refused.value)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"port": "x"}, ["--port", "'x'", "integer"]),
        ({"port": 70_000}, ["--port", "65535"]),
        ({"workers": 0}, ["--workers"]),
        ({"lease_seconds": -1}, ["--lease-seconds"]),
        ({"lease_seconds": float("inf")}, ["--lease-seconds", "finite"]),
        ({"roles": "api,cook"}, ["--roles", "'cook'", "orchestrator"]),
        ({"roles": ""}, ["--roles"]),
        ({"log_level": "loud"}, ["--log-level", "'loud'", "debug"]),
        ({"worker_lost_seconds": 5, "heartbeat_seconds": 2}, ["--worker-lost-seconds", "at least three times heartbeat_seconds"]),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(flags: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_settings(flags)
    for part in told:
        assert part in str(caught.value)


def test_a_wrong_value_in_the_environment_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WICHTEL_PORT", "http")
    with pytest.raises(InvalidInput, match="WICHTEL_PORT"):
        load_settings()


def test_an_unknown_name_in_a_file_is_refused_with_the_nearest(tmp_path: Path) -> None:
    Path("wichtel.toml").write_text("prot = 80")
    with pytest.raises(InvalidInput, match=r"wichtel\.toml: there is no setting 'prot'\. Did you mean 'port'\?"):
        load_settings()


def test_a_wrong_value_in_a_file_names_file_and_key() -> None:
    Path("wichtel.toml").write_text('port = "a"')
    with pytest.raises(InvalidInput, match=r"wichtel\.toml: port: 'a'"):
        load_settings()


def test_a_file_that_is_not_toml_is_refused_with_the_line() -> None:
    Path("wichtel.toml").write_text("port 80")
    with pytest.raises(InvalidInput, match=r"wichtel\.toml: it is not TOML: .*line 1"):
        load_settings()


def test_other_variables_are_none_of_our_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WICHTEL_SOMETHING_ELSE", "1")
    assert load_settings().port == 8420
