"""Which parameters matter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wichtel.domain import InvalidInput, NotFound, did_you_mean
from wichtel.tuning.results.ranking import losses_of, violation_of

if TYPE_CHECKING:
    from wichtel.tuning.results.result import StudyResult

#: Trials below which nothing can be said, and beyond which evenly chosen ones say enough.
_FEWEST = 4
_MOST = 2000


def importance(result: StudyResult, metric: str | None = None) -> dict[str, float]:
    """How much each parameter decides whether a trial is among the best tenth: shares that add up to 1, the largest first.

    Of feasible trials that ran to their end. With several objectives, the best are those near the front, unless `metric` names one. A
    parameter that only some trials have counts for those.

    Raises:
        InvalidInput: `metric` is no objective.
        NotFound: fewer than four trials have a result.

    References:
        Watanabe, Bansal, Hutter: PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces, 2023.
    """
    import optuna

    from wichtel.tuning.optuna_space import distributions, outward
    from wichtel.tuning.results.exchange import quiet

    spec = result.spec
    names = [o.metric for o in spec.objectives]
    if metric is not None and metric not in names:
        raise InvalidInput(f"{metric!r} is no objective.", where=f"study {spec.name!r}", hint=did_you_mean(metric, names))
    trials = [
        t for t in result.trials if t.copied_from is None and t.state == "SUCCEEDED" and losses_of(spec, t) and not violation_of(spec, t)
    ]
    if len(trials) < _FEWEST:
        raise NotFound(f"{len(trials)} trials are too few to say what matters.", where=f"study {spec.name!r}")
    # Evenly over time, so that no part of the search counts more than another.
    trials = trials[:: -(-len(trials) // _MOST)]
    columns = [names.index(metric)] if metric is not None else range(len(names))
    with quiet():
        study = optuna.create_study(directions=["minimize"] * len(columns), sampler=optuna.samplers.RandomSampler(seed=0))
        for trial in trials:
            losses = losses_of(spec, trial)
            study.add_trial(
                optuna.trial.create_trial(
                    values=[losses[i] for i in columns],
                    params={name: outward(spec.space[name], value) for name, value in trial.config.items()},
                    distributions=distributions(spec.space, trial.config),
                )
            )
        found = optuna.importance.PedAnovaImportanceEvaluator().evaluate(study)
    total = sum(found.values())
    known = {name: found.get(name, 0.0) for name in spec.space if any(name in t.config for t in trials)}
    shares = {name: value / total if total > 0 else 1 / len(known) for name, value in known.items()}
    return dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))
