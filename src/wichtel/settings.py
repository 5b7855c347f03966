"""Every value that decides how Wichtel runs, and where each came from.

A value is taken from the first of: a flag of the command line, the environment (``WICHTEL_PORT``), ``wichtel.toml`` in the current folder,
``~/.config/wichtel/config.toml``, the default below. Nothing else in the package reads the environment or these files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, PrivateAttr, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from wichtel.domain.errors import InvalidInput, StorageFailed, did_you_mean

Role = Literal["api", "orchestrator", "controller"]
ROLES: tuple[Role, ...] = get_args(Role)
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Pause = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Days = Annotated[float, Field(ge=0, allow_inf_nan=False)]
TimeOfDay = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


def _cpus() -> int:
    # The CPUs this process may use, which in a container is fewer than the machine has.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Setting:
    """One value with its origin."""

    name: str
    #: Plain JSON; a secret as stars.
    value: Any
    #: ``flag``, ``environment``, the path of a file, or ``default``.
    origin: str
    help: str


class Settings(BaseSettings):
    """The values. Made by `load_settings`; never changed afterwards."""

    model_config = SettingsConfigDict(env_prefix="WICHTEL_", extra="forbid", frozen=True, env_ignore_empty=True)

    # The order matters: a derived default and a check across fields see only the fields above.

    # Where state lives.
    home: Path = Field(Path(".wichtel"), description="Folder of the embedded database and artifacts.", validate_default=True)
    database_url: str = Field(
        default_factory=lambda data: f"sqlite:///{data['home'] / 'wichtel.db'}",
        description="The database: sqlite:///path or postgresql://user@host/name.",
    )
    artifacts_url: str = Field(
        default_factory=lambda data: str(data["home"] / "artifacts"),
        description="Folder or any fsspec URL that keeps the artifacts.",
    )
    database_wait_seconds: Pause = Field(60.0, description="A service that starts waits so long for a database that is away.")

    # The service and its clients.
    host: str = Field("127.0.0.1", description="Address that the service listens on.")
    port: int = Field(8420, ge=0, le=65_535, description="Port that the service listens on; 0 for any that is free.")
    url: str = Field(
        default_factory=lambda data: f"http://{data['host']}:{data['port']}", description="Address at which clients find the service."
    )
    token: SecretStr | None = Field(None, description="Access token that clients send.")
    requests_per_second: float = Field(
        100.0,
        ge=0,
        allow_inf_nan=False,
        description="Requests a second that each principal may make of a replica; 0 for any number.",
    )
    request_burst: int = Field(500, ge=1, description="Requests that each principal may make of a replica at once.")
    concurrent_requests: int = Field(200, ge=1, description="Requests that a replica answers at once; more are asked to come again.")
    trusted_proxies: str = Field(
        "127.0.0.1", description="Addresses of proxies that are believed when they say where a request comes from, with commas between."
    )
    dataset_folders: str | None = Field(
        None, description="Folders whose files may become datasets, with commas between; by default all that the service can read."
    )
    public_url: str | None = Field(
        None, description="Address at which browsers find the service, such as https://wichtel.example.org; by default what they ask for."
    )
    session_idle_hours: float = Field(8.0, gt=0, le=8760, description="A browser that asks nothing for so long is logged out.")
    session_days: float = Field(7.0, gt=0, le=365, description="A browser is logged out after so long in any case.")

    # Login by an identity provider (wichtel[oidc]).
    oidc_issuer: str | None = Field(None, description="Address of the OpenID Connect provider, as in its tokens; none for no such login.")
    oidc_client_id: str = Field("wichtel", description="What the provider calls this service.")
    oidc_client_secret: SecretStr | None = Field(None, description="What this service shows the provider.")
    oidc_scopes: str = Field("openid profile email", description="What is asked of the provider, with spaces between.")
    oidc_name_claim: str = Field("preferred_username", description="Claim that names the principal at its first login.")
    oidc_team_claim: str = Field("groups", description="Claim that lists the groups of which oidc_teams speaks.")
    oidc_teams: dict[str, str] = Field(
        default_factory=dict,
        description="Group -> team:role, or admin; the first that fits is the home. A table, or group=team:role with commas between.",
    )
    oidc_default: str | None = Field(None, description="team:role of those in no such group; none to turn them away.")

    roles: tuple[Role, ...] = Field(ROLES, description="What this process does: api, orchestrator, controller.")
    log_level: LogLevel = Field("info", description="Least grave kind of message that is logged.")
    log_format: LogFormat = Field("text", description="How it is logged: text for people, json (an object a line) for programs.")
    drain_seconds: Pause = Field(
        default_factory=lambda data: 0.0 if data["database_url"].startswith("sqlite") else 5.0,
        description="After SIGTERM requests are answered for so long while /readyz says 503, so that a load balancer sends them elsewhere.",
    )
    stop_seconds: Seconds = Field(30.0, description="Requests that are under way when the service stops may take so much longer.")

    # Runs.
    workers: int = Field(default_factory=_cpus, ge=1, description="Worker processes of the local engine.")
    heartbeat_seconds: Seconds = Field(1.0, description="A worker is heard of this often.")
    worker_lost_seconds: Seconds = Field(30.0, description="A worker that is silent for longer loses its run.")
    poll_seconds: Seconds = Field(0.2, description="The controller and the workflows look for new work this often.")

    # Experiments.
    default_quota: int = Field(4, ge=0, description="Experiments IN_PROGRESS at once in a quota group that sets no share of its own.")
    lease_seconds: Seconds = Field(300.0, description="An experiment whose workflow has not started by then is enqueued again.")
    expire_days: Days = Field(30.0, description="An experiment that is not finished by then ends as DEADLINE_EXCEEDED.")
    baseline_max_age_days: Days = Field(30.0, description="A baseline that was trained longer ago is trained again.")
    bootstrap_resamples: int = Field(1000, ge=100, description="Resamples behind each confidence interval.")

    # What is done again and again, and how long things are kept.
    clean_seconds: Seconds = Field(600.0, description="The cleaner looks for workflows and runs of no living experiment this often.")
    clean_grace_seconds: Seconds = Field(600.0, description="What began or ended less than this ago is left alone by the cleaner.")
    export_at: TimeOfDay = Field("02:00", description="Time of day, UTC, at which finished experiments are exported.")
    export_url: str = Field(
        default_factory=lambda data: str(data["home"] / "exports"),
        description="Folder or any fsspec URL that exports are written to; all replicas need the same.",
    )
    garbage_at: TimeOfDay = Field("03:00", description="Time of day, UTC, at which garbage is collected.")
    artifact_grace_days: float = Field(
        1.0, ge=0.01, allow_inf_nan=False, description="What nothing refers to is deleted if it was stored longer ago."
    )
    keep_trial_models_days: Days = Field(
        30.0, description="Files of trials, but for a study's best, and weights of experiments without a verdict are kept so long."
    )
    keep_candidates_days: Days = Field(
        90.0, description="Weights and predictions of UNSATISFIED candidates are kept so long; those of SATISFIED ones for ever."
    )
    keep_baselines_days: Days = Field(90.0, description="Weights and predictions of baselines are kept so long.")
    keep_events_days: Days = Field(90.0, description="Events are kept so long.")
    keep_measurements_days: Days = Field(180.0, description="Learning curves are kept so long after their run.")
    keep_audit_days: Days = Field(730.0, description="The audit log is kept so long.")
    keep_workflows_days: Days = Field(30.0, description="Steps of ended workflows are kept so long.")
    keep_logs_days: Days = Field(30.0, description="Logs of runs are kept so long, on their machine.")
    keep_checkpoints_days: Days = Field(7.0, description="Checkpoints that other trials may begin with are kept so long after their study.")

    # Notifications.
    smtp_url: SecretStr | None = Field(
        None, description="Mail server, smtp://user:password@host:587 or smtps://…; without one no mail is sent."
    )
    smtp_from: str = Field("wichtel@localhost", description="Address that mail comes from.")
    digest_seconds: Seconds = Field(3600.0, description="What a mail tells of a registration waits at most so long for the rest of it.")
    notify_seconds: Seconds = Field(5.0, description="Notifications are looked for this often.")
    notify_private_addresses: bool = Field(
        False, description="Whether webhooks may lead to loopback, private and link-local addresses, and without encryption."
    )

    # Replicas.
    replica_heartbeat_seconds: Seconds = Field(2.0, description="A replica of the service says that it lives this often.")
    replica_lost_seconds: Seconds = Field(15.0, description="The work of a replica that is silent for longer is taken over.")

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is given: `load_settings` asks the other sources itself, to know where each value came from."""
        return (init_settings,)

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        # Workers and steps run in folders of their own.
        return home.expanduser().absolute()

    @field_validator("oidc_teams", mode="before")
    @classmethod
    def _pairs(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        pairs = [part.partition("=") for part in given.split(",") if part.strip()]
        return {group.strip(): what.strip() for group, _, what in pairs}

    @field_validator("oidc_teams", "oidc_default")
    @classmethod
    def _team_and_role(cls, given: dict[str, str] | str | None) -> dict[str, str] | str | None:
        for what in given.values() if isinstance(given, dict) else [given] if given else []:
            team, _, role = what.partition(":")
            if what != "admin" and not (team and role in ("viewer", "editor", "approver")):
                raise ValueError(f"{what!r} is neither admin nor team:role, with a role of viewer, editor, approver")
        return given

    @field_validator("roles", mode="before")
    @classmethod
    def _split(cls, roles: object) -> object:
        return tuple(part.strip() for part in roles.split(",")) if isinstance(roles, str) else roles

    @field_validator("roles")
    @classmethod
    def _some_role(cls, roles: tuple[Role, ...]) -> tuple[Role, ...]:
        if not roles:
            raise ValueError("at least one role")
        return tuple(dict.fromkeys(roles))

    @field_validator("worker_lost_seconds", "replica_lost_seconds")
    @classmethod
    def _patience(cls, seconds: float, info: Any) -> float:
        beat = "heartbeat_seconds" if info.field_name == "worker_lost_seconds" else "replica_heartbeat_seconds"
        if beat in info.data and seconds < 3 * info.data[beat]:
            raise ValueError(f"it must be at least three times {beat}, {info.data[beat]:g}")
        return seconds

    def describe(self) -> list[Setting]:
        """Each value with its origin, in the order above; secrets as stars."""
        plain = self.model_dump(mode="json")
        return [
            Setting(
                name=name, value=_without_password(plain[name]), origin=self._origins.get(name, "default"), help=field.description or ""
            )
            for name, field in type(self).model_fields.items()
        ]


def _without_password(value: Any) -> Any:
    # Addresses of databases and of object stores may have one.
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:**********@", value) if isinstance(value, str) else value


def make_home(home: Path) -> None:
    """Make the folder, for its owner alone, if it is missing.

    Raises:
        StorageFailed: it cannot be made, or is no folder.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageFailed(f"the home cannot be made: {error.strerror}.", where=str(home), hint="Choose another --home.") from None


def user_file() -> Path:
    """``~/.config/wichtel/config.toml``, or below ``XDG_CONFIG_HOME``."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "wichtel" / "config.toml"


def load_settings(flags: Mapping[str, Any] | None = None, *, folder: Path | None = None) -> Settings:
    """Gather the settings from all sources.

    Args:
        flags: What the command line says; None stands for not said.
        folder: Where ``wichtel.toml`` is looked for; the current folder by default.

    Raises:
        InvalidInput: a file that is not TOML, an unknown name, or a value that does not fit.
    """
    layers: list[tuple[str, Mapping[str, Any]]] = [
        ("flag", {name: value for name, value in (flags or {}).items() if value is not None}),
        ("environment", _environment()),
    ]
    for path in ((folder or Path.cwd()) / "wichtel.toml", user_file()):
        layers.append((str(path), _file(path)))  # noqa: PERF401 a list of calls reads worse
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, layer in layers:
        for name, value in layer.items():
            if name not in Settings.model_fields:
                raise InvalidInput(f"there is no setting {name!r}.", where=origin, hint=did_you_mean(name, Settings.model_fields))
            if name not in values:
                values[name] = value
                origins[name] = origin
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise _refusal(error, origins) from None
    settings._origins.update(origins)
    return settings


def _environment() -> dict[str, Any]:
    # Read as plain text, field by field: a list is written with commas, not as JSON.
    source = EnvSettingsSource(Settings)
    found = {name: source.get_field_value(field, name)[0] for name, field in Settings.model_fields.items()}
    return {name: value for name, value in found.items() if value is not None}


def _file(path: Path) -> dict[str, Any]:
    try:
        return TomlConfigSettingsSource(Settings, path).toml_data
    except ValueError as error:
        raise InvalidInput(f"it is not TOML: {error}.", where=str(path)) from None
    except OSError as error:
        raise InvalidInput(f"it cannot be read: {error.strerror}.", where=str(path)) from None


def _refusal(error: ValidationError, origins: Mapping[str, str]) -> InvalidInput:
    # A derived default that could not be made follows from another error, which comes first.
    problem = error.errors(include_url=False, include_context=False)[0]
    name = str(problem["loc"][0])
    origin = origins.get(name, "default")
    where = {"flag": "--" + name.replace("_", "-"), "environment": "WICHTEL_" + name.upper()}.get(origin, f"{origin}: {name}")
    message = problem["msg"].removeprefix("Value error, ")
    is_secret = "SecretStr" in str(Settings.model_fields[name].annotation)
    given = "" if is_secret else f"{problem['input']!r} does not do: "
    return InvalidInput(f"{given}{message}.", where=where, hint=Settings.model_fields[name].description)
