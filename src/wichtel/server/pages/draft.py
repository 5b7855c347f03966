"""What somebody is about to launch: what they typed so far, what is filled in beside it and from where, and what is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from wichtel.domain import (
    BUILT_IN_INTENTS,
    Experiment,
    ExperimentConfig,
    Intent,
    InvalidInput,
    Model,
    ModelVersion,
    NotFound,
    WichtelError,
    did_you_mean,
)
from wichtel.domain.intent import PRIMARY
from wichtel.experiments import ProtocolRequest, RegisterModels, Survey
from wichtel.protocols import ParameterSpec, ProtocolInfo
from wichtel.server.pages.entries import Entry, read_value, told, written
from wichtel.server.pages.ranges import Range, common_tunables, range_fields, read_ranges, read_values
from wichtel.server.pages.reader import Form
from wichtel.training import default_replicates

if TYPE_CHECKING:
    from wichtel.app import App
    from wichtel.experiments import Principal

#: Of one launch from a page; programs may register more at once.
MOST_MODELS = 500
#: Each is compared with all models.
_MOST_PATTERNS = 20
#: Of what is no model, so many are told what they may have meant.
_MOST_HINTS = 5
_LONGEST = 200
_WILD = re.compile(r"[*?\[]")
_PARAMETER = re.compile(r"parameter '([^']*)'(?:, '([^']*)')?")
_CONFIG = {
    "replicates": "Trainings of the baseline and of the candidate, each with a seed of its own. More make the verdict surer.",
    "seed": "Where all randomness begins. The same seed repeats an experiment.",
    "priority": "Those with a higher one come first in the line of your team.",
    "baseline_max_age_days": "A baseline that was trained longer ago is trained again.",
}


@dataclass(slots=True, kw_only=True)
class Chosen:
    """What stands in the list of models: a name, or a pattern."""

    text: str
    models: tuple[str, ...] = ()
    problem: str = ""


@dataclass(slots=True, kw_only=True)
class Wanted:
    """A protocol that was chosen, with its parameters."""

    info: ProtocolInfo
    entries: list[Entry] = field(default_factory=list)
    #: Of a protocol that sets tunables.
    values: list[Entry] = field(default_factory=list)
    #: Of a protocol that searches them.
    ranges: list[Range] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    #: What is wrong with its parameters as a whole.
    problem: str = ""

    @property
    def problems(self) -> int:
        """How many values are wrong."""
        rows: list[Entry | Range] = [*self.entries, *self.values, *self.ranges]
        return sum(bool(row.problem) for row in rows)


@dataclass(slots=True, kw_only=True)
class Draft:
    """A launch that is being prepared."""

    chosen: list[Chosen]
    models: dict[str, Model]
    heads: dict[str, ModelVersion]
    protocols: list[Wanted]
    intent: str
    #: Value, label and help of those that can be chosen.
    intents: list[tuple[str, str, str]]
    intent_problem: str = ""
    config: list[Entry] = field(default_factory=list)
    #: Of a single experiment: a threshold for each constraint.
    thresholds: list[Entry] = field(default_factory=list)
    overrides: dict[str, Any] = field(default_factory=dict)
    survey: Survey | None = None

    @property
    def single(self) -> bool:
        """Whether it is one protocol on one model."""
        return len(self.models) == len(self.protocols) == 1

    @property
    def problems(self) -> int:
        """How many fields are wrong."""
        rows: list[Chosen | Entry] = [*self.chosen, *self.config, *self.thresholds]
        return sum(bool(row.problem) for row in rows) + bool(self.intent_problem) + sum(wanted.problems for wanted in self.protocols)

    @property
    def ready(self) -> bool:
        """Whether anything could be launched."""
        return not self.problems and self.survey is not None and bool(self.survey.experiments)

    def request(self, key: str | None = None) -> RegisterModels:
        """The registration that it would be."""
        return RegisterModels(
            models=tuple(self.models),
            protocols=tuple(
                ProtocolRequest(protocol=w.info.name, intent=self.intent or None, parameters=w.parameters, overrides=self.overrides)
                for w in self.protocols
            ),
            idempotency_key=key,
            # Of one, people are told why not; of many, the rest is launched.
            skip_unfit=True,
        )


def read_draft(app: App, principal: Principal, given: Form) -> Draft:
    """What the fields of the form say; everything that is wrong stands at its field."""
    chosen, models = _models(app, [text.strip() for text in given.all("model")])
    heads = app.models.heads(models.values())
    tunables = common_tunables(heads.values())
    known = {info.name: info for info in app.protocols.list()}
    protocols = [_wanted(known[name], given, tunables) for name in dict.fromkeys(given.all("protocol")) if name in known]
    draft = Draft(
        chosen=chosen,
        models=models,
        heads=heads,
        protocols=protocols,
        intent=given.one("intent"),
        intents=_intents(app, list(models)),
    )
    if draft.intent and draft.intent not in [name for name, _, _ in draft.intents]:
        hint = did_you_mean(draft.intent, [name for name, _, _ in draft.intents])
        draft.intent_problem = f"There is no intent {draft.intent!r} for these models. {hint or ''}".strip()
        return draft
    draft.config = _config(app, given, draft)
    if draft.single:
        _thresholds(app, given, draft)
    if models and protocols:
        draft.survey = app.experiments.survey(draft.request(), principal)
        _place_refusal(draft)
    return draft


def fields_of(app: App, experiment: Experiment) -> list[tuple[str, str]]:
    """The fields that would launch `experiment` again on what its model is now, with all that somebody had changed."""
    config = experiment.config
    fields = [("model", experiment.model), ("protocol", experiment.protocol)]
    named = config.intent.name
    if config.origin.get("intent") == "user":
        fields.append(("intent", named))
    version = app.models.version(experiment.target)
    try:
        info = app.protocols.get(experiment.protocol)
        intent = _resolved(app.intents.get(named, experiment.model), version)
    except NotFound:
        # It is gone; the page says so.
        return fields
    tunables = version.analysis.tunables
    space, names = _name_of(info, "space"), _name_of(info, "tunables")
    for spec in info.parameters:
        value = config.parameters.get(spec.name)
        if config.origin.get(f"parameters.{spec.name}") != "user" or value is None:
            continue
        if spec.holds == "values" and isinstance(value, Mapping):
            coded, _ = read_values(Form({}), "", tunables)
            listed = {entry.label for entry in coded if entry.options}
            fields += [(f"t.{info.name}.{k}", json.dumps(v) if k in listed else written(v)) for k, v in value.items()]
        elif not (space and spec.name in (space, names)):
            fields.append((f"p.{info.name}.{spec.name}", written(value)))
    if space:
        fields += range_fields(f"s.{info.name}", config.parameters, space, names, tunables)
    fields += [(f"c.{name}", written(getattr(config, name))) for name in _CONFIG if config.origin.get(name) == "user"]
    plain = {c.metric: c.threshold for c in intent.constraints}
    changed = [c for c in config.intent.constraints if plain.get(c.metric, c.threshold) != c.threshold]
    return fields + [(f"g.{c.metric}", _threshold(c.threshold, relative=c.relative)) for c in changed]


# Models


def _models(app: App, texts: Sequence[str]) -> tuple[list[Chosen], dict[str, Model]]:
    chosen = [Chosen(text=text) for text in dict.fromkeys(texts) if text][:MOST_MODELS]
    exact = app.models.many([c.text for c in chosen if c.text.isprintable() and not _WILD.search(c.text)])
    models: dict[str, Model] = {}
    patterns = unknown = 0
    for one in chosen:
        if len(one.text) > _LONGEST or not one.text.isprintable():
            one.problem = f"This is no name of a model. It has at most {_LONGEST} letters that can be seen."
            one.text = "".join(filter(str.isprintable, one.text))[:_LONGEST]
        elif _WILD.search(one.text):
            patterns += 1
            if patterns > _MOST_PATTERNS:
                one.problem = f"At most {_MOST_PATTERNS} patterns are taken at once. Choose a wider one."
                continue
            fitting = matching(app, one.text)
            if not fitting:
                one.problem = f"No model fits {one.text}."
            elif len(fitting) > MOST_MODELS:
                one.problem = f"More than {MOST_MODELS} models fit {one.text}. Choose a narrower pattern, or use the API."
                fitting = []
            one.models = tuple(model.name for model in fitting)
            models |= {model.name: model for model in fitting}
        elif one.text in exact:
            one.models = (one.text,)
            models[one.text] = exact[one.text]
        else:
            unknown += 1
            near = []
            if unknown <= _MOST_HINTS:
                near = [m.name for m in app.models.list(contains=one.text.rpartition("/")[2][:100], limit=20)]
            one.problem = f"There is no model {one.text!r}. {did_you_mean(one.text, near) if near else ''}".strip()
    if len(models) > MOST_MODELS:
        chosen[-1].problem = f"These are {len(models):,} models. At most {MOST_MODELS} are launched at once from here."
        models = {}
    return chosen, models


def matching(app: App, pattern: str) -> list[Model]:
    """The models whose names fit `pattern`, one more than may be launched at most."""
    found: list[Model] = []
    longest = max(re.split(r"[*?]|\[[^\]]*\]?", pattern), key=len)
    after: str | None = None
    while len(found) <= MOST_MODELS:
        page = app.models.list(contains=longest or None, limit=1000, after=after)
        found += [model for model in page if fnmatchcase(model.name, pattern)]
        if len(page) < 1000:
            break
        after = page[-1].name
    return found[: MOST_MODELS + 1]


# Parameters


def _wanted(info: ProtocolInfo, given: Form, tunables: Sequence[Any]) -> Wanted:
    wanted = Wanted(info=info)
    space, names = _name_of(info, "space"), _name_of(info, "tunables")
    for spec in info.parameters:
        if tunables and spec.holds == "values":
            wanted.values, values = read_values(given, f"t.{info.name}", tunables)
            if values:
                wanted.parameters[spec.name] = values
        elif tunables and space and spec.name == space:
            wanted.ranges, replaced, searched = read_ranges(given, f"s.{info.name}", tunables)
            if replaced:
                wanted.parameters[space] = replaced
            if searched is not None and names:
                wanted.parameters[names] = searched
        elif not (tunables and space and spec.name == names):
            wanted.entries.append(_entry(spec, given, wanted))
    return wanted


def _name_of(info: ProtocolInfo, holds: str) -> str:
    return next((spec.name for spec in info.parameters if spec.holds == holds), "")


def _entry(spec: ParameterSpec, given: Form, wanted: Wanted) -> Entry:
    field_name = f"p.{wanted.info.name}.{spec.name}"
    default = written(spec.default)
    text = given.one(field_name) or default
    entry = Entry(field=field_name, label=spec.name, text=text, default=default, origin="protocol default", help=spec.help)
    if spec.type == "bool":
        entry.options = (("true", "yes"), ("false", "no"))
    elif spec.choices:
        entry.options = tuple((choice, choice) for choice in spec.choices)
    if entry.changed:
        try:
            wanted.parameters[spec.name] = spec.check(read_value(text, spec.type))
        except WichtelError as error:
            entry.problem = told(error, known_hint=spec.help)
    return entry


# Configuration


def _config(app: App, given: Form, draft: Draft) -> list[Entry]:
    trainers = {version.analysis.trainer for version in draft.heads.values()}
    replicates = {default_replicates(trainer) for trainer in trainers}
    defaults: dict[str, tuple[Any, str]] = {
        # None where models differ.
        "replicates": (replicates.pop() if len(replicates) == 1 else None, f"the model, as {', '.join(sorted(trainers))} trains it"),
        "seed": (0, "service default"),
        "priority": (0, "service default"),
        "baseline_max_age_days": (app.settings.baseline_max_age_days, "service setting"),
    }
    entries = []
    for name, help_ in _CONFIG.items():
        value, origin = defaults[name]
        default = written(value)
        entry = Entry(
            field=f"c.{name}",
            label=name,
            text=given.one(f"c.{name}") or default,
            default=default,
            origin=origin if trainers else "",
            help=help_,
        )
        if entry.changed:
            try:
                typed = read_value(entry.text, "float" if name == "baseline_max_age_days" else "int")
                # It knows what each may be; the intent is none of its business here.
                ExperimentConfig(intent=BUILT_IN_INTENTS[0], **{name: typed})
                draft.overrides[name] = typed
            except WichtelError as error:
                entry.problem = told(error)
        entries.append(entry)
    return entries


def _intents(app: App, models: Sequence[str]) -> list[tuple[str, str, str]]:
    if len(models) == 1:
        return [(a.intent.name, a.intent.name, f"{a.intent.help} {a.why}".strip()) for a in app.intents.applied(models[0])]
    return [(name, name, "") for name in sorted({intent.name for intent in app.intents.list()})]


def _resolved(intent: Intent, version: ModelVersion) -> Intent:
    metadata = version.analysis.metadata
    return intent.resolve(metadata.primary_metric, metadata.better)


def _thresholds(app: App, given: Form, draft: Draft) -> None:
    (model,), (wanted,) = draft.models, draft.protocols
    version = draft.heads[model]
    try:
        named = app.intents.get(draft.intent or wanted.info.intent, model)
    except NotFound as error:
        draft.intent_problem = told(error)
        return
    intent = _resolved(named, version)
    by_name = {c.metric for c in named.constraints} - {PRIMARY}
    constraints = []
    for c in intent.constraints:
        default = _threshold(c.threshold, relative=c.relative)
        name = f"g.{c.metric}"
        origin = f"intent {intent.name}" + ("" if c.metric in by_name else "; the metric from plan.py")
        entry = Entry(
            field=name, label=c.metric, text=given.one(name) or default, default=default, origin=origin, unit="%" if c.relative else ""
        )
        if entry.changed:
            try:
                typed = read_value(entry.text.removesuffix("%"), "float")
                c = replace(c, threshold=typed / 100 if c.relative else typed)
            except WichtelError as error:
                entry.problem = told(error)
        entry.help = f"{c.text}, {c.confidence * 100:g}% sure"
        constraints.append(c)
        draft.thresholds.append(entry)
    if any(entry.changed and not entry.problem for entry in draft.thresholds):
        draft.overrides["intent"] = replace(intent, constraints=tuple(constraints))


def _threshold(value: float, *, relative: bool) -> str:
    return f"{value * 100:.10g}" if relative else written(value)


# What is wrong


def _place_refusal(draft: Draft) -> None:
    """Put why a single experiment is refused to the field that it is about, if it is about one."""
    if not draft.single or draft.survey is None or not draft.survey.refused:
        return
    error, (wanted,) = draft.survey.refused[0].error, draft.protocols
    if not isinstance(error, InvalidInput):
        return
    found = _PARAMETER.match(error.where or "")
    names = [name for name in (found.groups() if found else ()) if name]
    rows: dict[str, Entry | Range] = {entry.label: entry for entry in (*wanted.values, *wanted.entries)}
    rows |= {r.tunable.name: r for r in wanted.ranges}
    row = next((rows[name] for name in reversed(names) if name in rows), None)
    if row is None:
        # Such as the name of a plug-in, which no place is told for.
        row = next((e for e in wanted.entries if e.changed and repr(e.text) in error.message), None)
    if row is not None:
        row.problem = row.problem or told(error, known_hint=getattr(row, "help", ""))
    elif names and not wanted.values:
        # Of values for tunables, the form says itself that one is needed.
        wanted.problem = told(error)
