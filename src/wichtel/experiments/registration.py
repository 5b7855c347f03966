"""RegisterModels: from models × protocols to complete experiment configurations, or to an error before anything is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from wichtel.domain import (
    Analysis,
    Experiment,
    ExperimentConfig,
    Intent,
    InvalidInput,
    ModelVersion,
    WichtelError,
    choose_intent,
    did_you_mean,
)
from wichtel.experiments.access import Principal
from wichtel.experiments.ids import id_of, new_id
from wichtel.experiments.models import refuse_archived
from wichtel.protocols import Protocol, get_protocol
from wichtel.store import Transaction, codec
from wichtel.training import default_replicates, metric_catalogue

#: They are stored in one transaction, which others wait for.
MOST_EXPERIMENTS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolRequest:
    """A protocol and how it is wanted."""

    protocol: str
    #: Its name; with none, the protocol decides.
    intent: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    #: Fields of the experiment's configuration (`ExperimentConfig`) that replace what is filled in.
    overrides: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterModels:
    """Each of `protocols` on each of `models`."""

    models: tuple[str, ...]
    protocols: tuple[ProtocolRequest, ...]
    #: The same key by the same principal is the same registration.
    idempotency_key: str | None = None
    #: Leave out the pairs of model and protocol that cannot be launched; otherwise one such pair refuses them all.
    skip_unfit: bool = False

    def __post_init__(self) -> None:
        for what, given in (("model", self.models), ("protocol", self.protocols)):
            if not given:
                raise InvalidInput(f"a registration needs at least one {what}.")
        if len(set(self.models)) != len(self.models):
            raise InvalidInput("a model stands there twice.", where="models")
        if (many := len(self.models) * len(self.protocols)) > MOST_EXPERIMENTS:
            hint = f"Register at most {MOST_EXPERIMENTS:,} at once."
            raise InvalidInput(f"{len(self.models):,} models × {len(self.protocols):,} protocols are {many:,} experiments.", hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A protocol that cannot be launched on a model, and why."""

    model: str
    protocol: str
    error: WichtelError


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a registration would make, and what it could not."""

    experiments: tuple[Experiment, ...]
    refused: tuple[Refused, ...]


#: Fields of `ExperimentConfig` that a user may set by `overrides`; parameters have a field of their own.
OVERRIDABLE = tuple(f.name for f in fields(ExperimentConfig) if f.name not in ("parameters", "origin", "rerun_of"))


def registration_id(request: RegisterModels, principal: Principal) -> str:
    """The id that the registration will have."""
    if request.idempotency_key is None:
        return new_id("r")
    return id_of("r", principal.name, request.idempotency_key)


def expand(
    tx: Transaction, request: RegisterModels, registration: str, principal: Principal, *, baseline_max_age_days: float
) -> list[Experiment]:
    """The experiments that `request` asks for, complete.

    Raises:
        NotFound: an unknown model or protocol.
        InvalidInput: parameters, intent or overrides that do not fit a model; it says which. If those are left out: nothing fits.
    """
    if not request.skip_unfit:
        for model in tx.models.many(request.models).values():
            refuse_archived(model)
    found = survey(tx, request, registration, principal, baseline_max_age_days=baseline_max_age_days)
    if found.refused and not (request.skip_unfit and found.experiments):
        first = found.refused[0]
        where = f"{first.protocol} on {first.model}" + (f", {first.error.where}" if first.error.where else "")
        raise type(first.error)(first.error.message, where=where, hint=first.error.hint) from first.error
    return list(found.experiments)


def survey(tx: Transaction, request: RegisterModels, registration: str, principal: Principal, *, baseline_max_age_days: float) -> Survey:
    """Each pair of `request`: the experiment that it would be, or why it cannot be one.

    With `RegisterModels.skip_unfit` also a model of a team that the principal may not register for is refused.

    Raises:
        NotFound: an unknown model or protocol.
    """
    intents = {(i.name, i.models): i for i in tx.intents.list()}
    models = tx.models.many(request.models)
    heads = tx.versions.many({model.head for model in models.values()})
    chosen = [get_protocol(wanted.protocol) for wanted in request.protocols]
    experiments: list[Experiment] = []
    refused: list[Refused] = []
    for name in request.models:
        model = models[name]
        version = heads[model.head]
        for index, (protocol, wanted) in enumerate(zip(chosen, request.protocols, strict=True)):
            try:
                refuse_archived(model)
                if request.skip_unfit:
                    principal.permit("register_models", team=model.team)
                config = configure(protocol, wanted, name, version, intents, baseline_max_age_days=baseline_max_age_days)
            except WichtelError as error:
                refused.append(Refused(model=name, protocol=protocol.name, error=error))
                continue
            experiments.append(
                Experiment(
                    id=id_of("e", registration, name, str(index)),
                    registration=registration,
                    model=name,
                    target=version.id,
                    protocol=protocol.name,
                    config=config,
                    owner=principal.name,
                    quota_group=model.team,
                    created=tx.now,
                )
            )
    return Survey(experiments=tuple(experiments), refused=tuple(refused))


def configure(
    protocol: Protocol,
    wanted: ProtocolRequest,
    model: str,
    version: ModelVersion,
    intents: Mapping[tuple[str, str], Intent],
    *,
    baseline_max_age_days: float,
) -> ExperimentConfig:
    """One experiment's configuration, each value with where it came from."""
    analysis = version.analysis
    parameters = protocol.check(wanted.parameters, analysis)
    origin = {f"parameters.{name}": "user" if name in wanted.parameters else "protocol" for name in parameters}
    intent = choose_intent(wanted.intent or protocol.intent, model, intents)
    intent = intent.resolve(analysis.metadata.primary_metric, analysis.metadata.better)
    origin["intent"] = "user" if wanted.intent else "protocol"
    overrides = dict(wanted.overrides)
    for name in overrides:
        if name not in OVERRIDABLE:
            raise InvalidInput(f"the configuration has no field {name!r}.", where="overrides", hint=did_you_mean(name, OVERRIDABLE))
        origin[name] = "user"
    if "intent" in overrides:
        data = overrides.pop("intent")
        replaced = data if isinstance(data, Intent) else codec.from_plain(data, Intent)
        intent = replaced.resolve(analysis.metadata.primary_metric, analysis.metadata.better)
    check_metrics(intent, analysis)
    settings = {"baseline_max_age_days": baseline_max_age_days, "replicates": default_replicates(analysis.trainer), **overrides}
    origin.setdefault("replicates", "model")
    # Through the codec, so that a wrong type is told in words.
    plain = codec.to_plain(ExperimentConfig(intent=intent, parameters=parameters, origin=origin))
    return codec.from_plain({**plain, **settings}, ExperimentConfig)


def check_metrics(intent: Intent, analysis: Analysis) -> None:
    """Refuse an intent that constrains what the model will not report.

    Raises:
        InvalidInput: it does.
    """
    known = {m.name for m in metric_catalogue(analysis)}
    for c in intent.constraints:
        if c.metric not in known:
            raise InvalidInput(
                f"no model reports metric {c.metric!r}, which intent {intent.name!r} constrains.", hint=did_you_mean(c.metric, known)
            )
