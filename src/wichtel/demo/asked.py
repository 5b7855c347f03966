"""Who there is in the demo, and who asks for what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wichtel.domain import (
    Algorithm,
    Choice,
    Constraint,
    Expectation,
    Float,
    Int,
    Intent,
    MetricBound,
    Objective,
    QuotaGroup,
    Space,
    StudySpec,
)
from wichtel.experiments import NewPrincipal, ProtocolRequest
from wichtel.tuning.function import NAMED

DATASET = "flights"
#: One flight in so many: 112,259 of them. A training takes about a second.
EVERY = 3

TEAMS = {
    "arrivals": "Tells passengers which flights will be late.",
    "crews": "Plans crews, who must know by how much.",
    "lab": "Tries what nobody has asked for yet.",
}

PEOPLE = (
    NewPrincipal(name="ana", team="arrivals", role="approver", email="ana@airline.example"),
    NewPrincipal(name="ben", team="arrivals", role="editor", email="ben@airline.example"),
    NewPrincipal(name="chloe", team="crews", role="editor", email="chloe@airline.example"),
    NewPrincipal(name="dora", team="lab", role="editor"),
    NewPrincipal(name="emil", team="crews", role="viewer"),
    NewPrincipal(name="nightly", kind="service", team="arrivals", role="editor"),
)
#: Team, principal, role: beside the home team.
MEMBERS = (("crews", "ben", "viewer"), ("arrivals", "chloe", "editor"))
#: What the token of a service account may be used for.
SCOPES = {"nightly": ("experiments:write",)}

GROUPS = (QuotaGroup(name="arrivals", max_in_progress=3), QuotaGroup(name="crews", max_in_progress=2, max_runs=2))
PAUSED = ("lab", "Until the budget of the laboratory is agreed on.")


def _relative(metric: str, expectation: Expectation, threshold: float) -> Constraint:
    return Constraint(metric=metric, expectation=expectation, threshold=threshold, relative=True)


#: Owner → intent.
INTENTS = {
    "ana": Intent(
        name="sharper",
        models="arrivals/*",
        help="Late and punctual flights are told apart a fifth of a percent better, and the probabilities are no worse.",
        primary="auc",
        constraints=(_relative("auc", Expectation.LARGER, 0.002), _relative("log_loss", Expectation.SMALLER, -0.002)),
    ),
    "chloe": Intent(
        name="fewer_minutes",
        models="crews/*",
        help="The delay is foretold at least half a percent more exactly, with a model of at most twice the size.",
        primary="rmse",
        constraints=(_relative("rmse", Expectation.SMALLER, 0.005), _relative("model_bytes", Expectation.SMALLER, -1.0)),
    ),
}

#: Model → folder, owner.
MODELS = {
    "arrivals/late-trees": ("late_trees", "ana"),
    "crews/delay-minutes": ("delay_minutes", "chloe"),
    "arrivals/late-network": ("late_network", "ben"),
    "crews/late-simple": ("late_simple", "chloe"),
    "lab/late-forest": ("late_forest", "dora"),
}

#: Smaller trees, held back: what tells flights apart in autumn, too.
HELD_BACK = {"num_leaves": 15, "learning_rate": 0.05, "min_child_samples": 200, "reg_lambda": 10.0, "cat_smooth": 100.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A registration: protocols on models, by somebody."""

    #: Which it is: asked for again, it is the same.
    key: str
    by: str
    models: tuple[str, ...]
    protocols: tuple[ProtocolRequest, ...]


def _of(protocol: str, intent: str, **parameters: Any) -> ProtocolRequest:
    return ProtocolRequest(protocol=protocol, intent=intent, parameters=parameters)


#: The first has the first verdicts.
REGISTRATIONS = (
    Asked(
        key="held-back",
        by="ana",
        models=("arrivals/late-trees",),
        protocols=(_of("SetHyperparameters", "improve_quality", values=HELD_BACK), _of("TrainModel", "improve_quality")),
    ),
    Asked(
        key="logarithm",
        by="chloe",
        models=("crews/delay-minutes",),
        protocols=(
            _of("SetHyperparameters", "fewer_minutes", values={"target": "logarithm"}),
            _of("SetHyperparameters", "optimize_resources", values={"n_estimators": 60, "learning_rate": 0.15}),
        ),
    ),
    Asked(
        key="half",
        by="ben",
        models=("arrivals/late-trees", "arrivals/late-network"),
        protocols=(_of("ReduceTrainingData", "optimize_resources", share=0.5), _of("TrainModel", "sharper")),
    ),
    Asked(key="draft", by="admin", models=("crews/late-simple",), protocols=(_of("TrainModel", "improve_quality"),)),
    Asked(
        key="leaves",
        by="ana",
        models=("arrivals/late-trees",),
        protocols=tuple(
            _of("SetHyperparameters", "sharper", values={"num_leaves": leaves, "learning_rate": rate})
            for leaves in (7, 15, 31)
            for rate in (0.05, 0.1)
        ),
    ),
    Asked(
        key="search",
        by="nightly",
        models=("arrivals/late-trees", "arrivals/late-network"),
        protocols=(_of("TuneHyperparameters", "improve_quality", trials=24, workers=2),),
    ),
    Asked(
        key="minutes",
        by="chloe",
        models=("crews/delay-minutes",),
        protocols=(_of("TuneHyperparameters", "fewer_minutes", trials=16, workers=2, tunables=["n_estimators", "learning_rate"]),),
    ),
    Asked(
        key="forest",
        by="dora",
        models=("lab/late-forest",),
        protocols=(_of("TrainModel", "improve_quality"), _of("ReduceTrainingData", "optimize_resources", share=0.5)),
    ),
)
#: The candidate of its first experiment is launched if it may be.
LAUNCHED = "held-back"
#: Somebody thinks better of it.
CANCELED = Asked(key="mistake", by="dora", models=("lab/late-forest",), protocols=(_of("TrainModel", "improve_quality"),))

_SPACE = Space(
    {
        "rate": Float(0.003, 3, log=True),
        "l2": Float(1e-6, 0.1, log=True),
        "momentum": Float(0, 0.97),
        "buckets": Int(8, 512, log=True),
        "cross": Choice(("none", "carrier × hour", "origin × hour")),
    }
)
_LOSS = Objective(metric="log_loss", better=Expectation.SMALLER)
_PAYLOAD = {"function": "wichtel.demo.logistic:train", "metric": "log_loss"}

#: Owner → study.
STUDIES = {
    "chloe": StudySpec(
        id="demo-logistic",
        name="late-logistic",
        quota_group="crews",
        space=_SPACE,
        objectives=(_LOSS,),
        entry=NAMED,
        payload=_PAYLOAD,
        searcher=Algorithm(name="tpe"),
        pruner=Algorithm(name="median"),
        trials=300,
        workers=2,
        seed=1,
    ),
    "ana": StudySpec(
        id="demo-sizes",
        name="late-logistic-sizes",
        quota_group="arrivals",
        space=_SPACE,
        objectives=(_LOSS, Objective(metric="weights", better=Expectation.SMALLER)),
        constraints=(MetricBound(metric="log_loss", high=0.6),),
        entry=NAMED,
        payload=_PAYLOAD,
        searcher=Algorithm(name="nsga2"),
        trials=120,
        workers=2,
        seed=1,
    ),
}
